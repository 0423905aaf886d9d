//! SARIF 2.1.0 (OASIS), for code scanning.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::place::ReportLocation;
use super::text::escaped_json;
use crate::diagnostic::{Diagnostic, Diagnostics, Label, Severity, SourceMap};
use crate::policy::{RULES, rule};

/// A SARIF log with the findings of golden, and the runs of other tools after them.
pub(super) fn log(found: &Diagnostics, sources: &SourceMap, others: &[Value]) -> String {
    let ids: BTreeSet<&str> = RULES
        .iter()
        .map(|rule| rule.id)
        .chain(found.iter().map(|diagnostic| &*diagnostic.rule))
        .collect();
    let ids: Vec<&str> = ids.into_iter().collect();
    let results: Vec<Value> = found
        .iter()
        .map(|diagnostic| result(diagnostic, &ids, sources))
        .collect();
    let mut log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "golden",
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": ids.iter().map(|id| described(id)).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    if let Some(runs) = log["runs"].as_array_mut() {
        let others = others.iter().filter_map(|other| other["runs"].as_array());
        runs.extend(others.flatten().cloned());
    }
    format!("{}\n", escaped_json(&format!("{log:#}")))
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// A rule with its documentation. A rule of the spec has only its ID and a common description.
fn described(id: &str) -> Value {
    match rule(id) {
        Some(rule) => json!({
            "id": id,
            "shortDescription": { "text": rule.summary },
            "fullDescription": { "text": rule.docs.trim_end() },
            "help": { "text": rule.docs.trim_end() },
            "defaultConfiguration": { "level": level(rule.severity) },
        }),
        None => {
            json!({ "id": id, "shortDescription": { "text": "the spec is valid" } })
        }
    }
}

fn result(diagnostic: &Diagnostic, ids: &[&str], sources: &SourceMap) -> Value {
    let text = match &diagnostic.help {
        Some(help) => format!("{}\nhelp: {help}", diagnostic.message),
        None => diagnostic.message.clone(),
    };
    let mut result = json!({
        "ruleId": diagnostic.rule,
        "ruleIndex": ids.iter().position(|id| *id == diagnostic.rule),
        "level": level(diagnostic.severity),
        "message": { "text": text },
    });
    let mut locations: Vec<Value> = diagnostic
        .labels
        .iter()
        .map(|label| location(label, sources))
        .collect();
    if locations.is_empty() && diagnostic.image.is_some() {
        locations.push(json!({}));
    }
    let related = if locations.len() > 1 {
        locations.split_off(1)
    } else {
        Vec::new()
    };
    if let (Some(image), Some(main)) = (&diagnostic.image, locations.first_mut()) {
        main["logicalLocations"] = json!([{ "fullyQualifiedName": image, "kind": "resource" }]);
    }
    if !locations.is_empty() {
        result["locations"] = Value::Array(locations);
    }
    if !related.is_empty() {
        result["relatedLocations"] = Value::Array(related);
    }
    result
}

fn location(label: &Label, sources: &SourceMap) -> Value {
    let place = ReportLocation::of(label, sources);
    let mut physical = json!({ "artifactLocation": { "uri": uri(&place.file) } });
    if let (Some(start), Some(end)) = (place.start, place.end) {
        physical["region"] = json!({
            "startLine": start.line,
            "startColumn": start.column,
            "endLine": end.line,
            "endColumn": end.column,
        });
    }
    let mut location = json!({ "physicalLocation": physical });
    if !label.text.is_empty() {
        location["message"] = json!({ "text": label.text });
    }
    location
}

const HEX: [&str; 16] = [
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "A", "B", "C", "D", "E", "F",
];

/// A relative path as a URI reference (RFC 3986): all characters except unreserved ones and `/` are
/// percent-encoded.
fn uri(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(byte.into());
        } else {
            encoded.extend([
                "%",
                HEX[usize::from(byte >> 4)],
                HEX[usize::from(byte & 15)],
            ]);
        }
    }
    encoded
}
