//! Annotations of GitHub Actions: `::error file=…,line=…,col=…::message`.

use super::place::ReportLocation;
use super::text::visible;
use crate::diagnostic::{Diagnostic, Diagnostics, Severity, SourceMap};

/// One workflow command for each finding.
pub(super) fn annotations(found: &Diagnostics, sources: &SourceMap) -> String {
    found
        .iter()
        .map(|diagnostic| annotation(diagnostic, sources))
        .collect()
}

fn annotation(diagnostic: &Diagnostic, sources: &SourceMap) -> String {
    let command = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let properties = properties(diagnostic, sources);
    let properties: Vec<String> = properties
        .iter()
        .map(|(name, value)| format!("{name}={}", escape_property(&visible(value))))
        .collect();
    let mut message = diagnostic.message.clone();
    if let Some(image) = &diagnostic.image {
        message = format!("{image}: {message}");
    }
    if let Some(help) = &diagnostic.help {
        message = format!("{message}\nhelp: {help}");
    }
    format!(
        "::{command} {}::{}\n",
        properties.join(","),
        escape_data(&visible(&message))
    )
}

/// The place of the finding, and the rule as the title.
fn properties(diagnostic: &Diagnostic, sources: &SourceMap) -> Vec<(&'static str, String)> {
    let mut properties = Vec::new();
    if let Some(place) = ReportLocation::main(diagnostic, sources) {
        properties.push(("file", place.file));
        if let (Some(start), Some(end)) = (place.start, place.end) {
            properties.push(("line", start.line.to_string()));
            properties.push(("endLine", end.line.to_string()));
            properties.push(("col", start.column.to_string()));
            // GitHub supports an end column only within one line.
            if end.line == start.line {
                properties.push(("endColumn", end.column.to_string()));
            }
        }
    }
    properties.push(("title", diagnostic.rule.to_string()));
    properties
}

/// Escapes the message of a command, as `escapeData` in command.ts of actions/toolkit does.
fn escape_data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// Escapes a property of a command, as `escapeProperty` does.
fn escape_property(text: &str) -> String {
    escape_data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Parses a command as the runner does.
    fn read(line: &str) -> (String, Vec<(String, String)>, String) {
        let rest = line.strip_prefix("::").unwrap();
        let (head, message) = rest.split_once("::").unwrap();
        let (command, properties) = head.split_once(' ').unwrap_or((head, ""));
        let undo = |text: &str| {
            text.replace("%0D", "\r")
                .replace("%0A", "\n")
                .replace("%3A", ":")
                .replace("%2C", ",")
                .replace("%25", "%")
        };
        let properties = properties.split(',').map(|pair| {
            let (name, value) = pair.split_once('=').unwrap();
            (name.to_owned(), undo(value))
        });
        let message = message
            .replace("%0D", "\r")
            .replace("%0A", "\n")
            .replace("%25", "%");
        (command.to_owned(), properties.collect(), message)
    }

    proptest! {
        #[test]
        fn any_text_survives_and_stays_one_line(file in "[^/\0]{1,12}", message in any::<String>()) {
            let mut sources = SourceMap::default();
            sources.insert(&file, "a = 1\n");
            let diagnostic = Diagnostic::error("a.b", message.clone()).at(&file, 0..1, "");
            let text = annotation(&diagnostic, &sources);
            prop_assert_eq!(text.matches('\n').count(), 1);
            let (command, properties, data) = read(text.trim_end_matches('\n'));
            prop_assert_eq!(command, "error");
            prop_assert_eq!(data, visible(&message));
            if file != "." {
                prop_assert_eq!(&properties[0], &("file".to_owned(), visible(&file).into_owned()));
            }
        }
    }
}
