//! JSON output: one document, with `"schema": 1` as its first key.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::place::ReportLocation;
use super::text::escaped_json;
use crate::diagnostic::{Diagnostics, Severity, SourceMap};
use crate::event::ReportedFinding;

/// Serializes a value as a document with its schema number and a final newline.
pub(crate) fn with_schema(value: &impl Serialize) -> String {
    let mut document = Map::from_iter([("schema".to_owned(), Value::from(1))]);
    match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => {
            document.extend(fields.into_iter().filter(|(key, _)| key != "schema"));
        }
        Ok(other) => drop(document.insert("items".to_owned(), other)),
        Err(error) => unreachable!("results have string keys and finite numbers: {error}"),
    }
    text(&Value::Object(document))
}

/// A document as text with a final newline.
pub(crate) fn text(document: &Value) -> String {
    format!("{}\n", escaped_json(&format!("{document:#}")))
}

/// Serializes all findings as one document.
pub(super) fn document(found: &Diagnostics, sources: &SourceMap) -> String {
    with_schema(&findings(found, sources))
}

/// The findings with their places.
pub(super) fn reported<'a>(
    found: &'a Diagnostics,
    sources: &'a SourceMap,
) -> impl Iterator<Item = ReportedFinding> {
    found.iter().map(|diagnostic| {
        let place = ReportLocation::main(diagnostic, sources);
        ReportedFinding::new(diagnostic, place.map(|place| (place.file, place.start)))
    })
}

/// All findings, and their number by severity.
pub(super) fn findings(found: &Diagnostics, sources: &SourceMap) -> Value {
    let diagnostics: Vec<_> = reported(found, sources).collect();
    let count = |severity| {
        found
            .iter()
            .filter(|diagnostic| diagnostic.severity == severity)
            .count()
    };
    json!({
        "errors": count(Severity::Error),
        "warnings": count(Severity::Warning),
        "diagnostics": diagnostics,
    })
}
