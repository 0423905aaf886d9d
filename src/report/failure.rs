//! Prints the error that ended a command, with its causes and hints.

use std::error::Error;

use super::out::Out;
use super::text::uncoloured;

/// Prints an error with all of its sources, followed by the hints.
pub fn failure(out: &Out, error: &(dyn Error + Send + Sync + 'static), hints: &[String]) {
    let (red, blue) = (
        anstyle::AnsiColor::Red.on_default().bold(),
        anstyle::AnsiColor::Cyan.on_default().bold(),
    );
    let head = |word: &str, style: anstyle::Style| {
        if out.color {
            format!("{style}{word}{style:#}")
        } else {
            word.to_owned()
        }
    };
    out.error(&format!(
        "{}: {}",
        head("error", red),
        indented(&chain(error))
    ));
    for hint in hints {
        out.error(&format!("  {}: {}", head("help", blue), indented(hint)));
    }
}

/// An error and its sources, joined by `: `. A source whose text the message contains already is
/// not repeated.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !cause_text.is_empty() && !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// Indents all lines except the first.
fn indented(text: &str) -> String {
    uncoloured(text.trim_end()).replace('\n', "\n  ")
}
