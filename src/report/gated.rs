//! The output of failed gates as text.

use std::fmt::Write as _;

use super::text::uncoloured;
use crate::gates::GateReport;

/// The output of each failed gate.
pub(super) fn failures(reports: &[GateReport]) -> String {
    let mut text = String::new();
    for report in reports.iter().filter(|report| !report.passed) {
        let output = uncoloured(report.output.trim_end());
        if output.is_empty() {
            continue;
        }
        // Writing into a String cannot fail.
        let _ = writeln!(text, "  output of the gate {}:", report.name);
        for line in output.lines() {
            let _ = writeln!(text, "    {line}");
        }
    }
    text
}
