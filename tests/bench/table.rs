//! Rows of a table in Markdown.

use std::time::Duration;

use super::measure::Cost;

/// Prints the header row of a table, and the line below it.
pub(crate) fn head(columns: &[&str]) {
    println!("| {} |", columns.join(" | "));
    println!("|{}", " --- |".repeat(columns.len()));
}

/// Prints a row.
pub(crate) fn row(cells: &[String]) {
    println!("| {} |", cells.join(" | "));
}

/// A duration with a unit.
pub(crate) fn time(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds < 1.0 => format!("{:.0} ms", seconds * 1000.0),
        seconds => format!("{seconds:.2} s"),
    }
}

/// The ratio of `other` to golden's time.
pub(crate) fn ratio(other: Cost, golden: Cost) -> String {
    format!(
        "{:.1} ×",
        other.time.as_secs_f64() / golden.time.as_secs_f64()
    )
}

/// A number of bytes with a unit.
pub(crate) fn size(bytes: u64) -> String {
    #[expect(
        clippy::cast_precision_loss,
        reason = "the output has only three digits"
    )]
    let bytes = bytes as f64;
    if bytes < 1024.0 * 1024.0 {
        format!("{:.1} KiB", bytes / 1024.0)
    } else {
        format!("{:.1} MiB", bytes / 1024.0 / 1024.0)
    }
}
