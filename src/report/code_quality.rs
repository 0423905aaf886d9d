//! The code quality report of GitLab (docs.gitlab.com, "Code Quality report format").

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::place::{ReportLocation, slashes};
use super::text::{escaped_json, visible};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity, SourceMap};
use crate::reference::Digest;

/// The file of findings that have no place: GitLab shows only findings in files.
const WORKSPACE_FILE: &str = "golden.toml";

/// A report with one issue for each finding.
pub(super) fn report(found: &Diagnostics, sources: &SourceMap) -> String {
    let mut issues: Vec<Value> = Vec::new();
    let mut occurrences = BTreeMap::<String, usize>::new();
    for diagnostic in found.iter() {
        issues.push(issue(diagnostic, sources, &mut occurrences));
    }
    format!("{}\n", escaped_json(&format!("{:#}", Value::Array(issues))))
}

/// The issue of a finding. `occurrences` has the number of earlier findings by their identity.
fn issue(
    diagnostic: &Diagnostic,
    sources: &SourceMap,
    occurrences: &mut BTreeMap<String, usize>,
) -> Value {
    let place = ReportLocation::main(diagnostic, sources);
    let line = place.as_ref().and_then(|place| place.start.as_ref());
    let line = line.map_or(1, |start| start.line);
    let path = place.map_or_else(
        || slashes(&sources.shown(Path::new(WORKSPACE_FILE))),
        |place| place.file,
    );
    let mut message = diagnostic.message.clone();
    if let Some(image) = &diagnostic.image {
        message = format!("{image}: {message}");
    }
    // The line is not a part of it, so that GitLab recognises an issue that only moved.
    let mut identity = format!("{}\n{path}\n{message}", diagnostic.rule);
    // GitLab drops issues with the same fingerprint.
    let earlier = occurrences.entry(identity.clone()).or_default();
    if *earlier > 0 {
        identity = format!("{identity}\n{earlier}");
    }
    *earlier += 1;
    if let Some(help) = &diagnostic.help {
        message = format!("{message} ({help})");
    }
    json!({
        "description": visible(&message),
        "check_name": diagnostic.rule,
        "fingerprint": Digest::of(identity.as_bytes()).hex(),
        "severity": match diagnostic.severity {
            Severity::Error => "major",
            Severity::Warning => "minor",
        },
        "location": { "path": path, "lines": { "begin": line } },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_does_not_depend_on_lines_and_findings_above() {
        let fingerprints = |text: &str, above: bool| {
            let mut sources = SourceMap::default();
            sources.insert("app/image.toml", text);
            let mut found = Diagnostics::new();
            if above {
                found.push(Diagnostic::error("c.d", "new").at("app/image.toml", 0..1, ""));
            }
            for (at, _) in text.match_indices('b') {
                found.push(Diagnostic::error("a.b", "wrong").at("app/image.toml", at..at + 1, ""));
            }
            let issues: Value = serde_json::from_str(&report(&found, &sources)).unwrap();
            let issues = issues.as_array().unwrap().iter();
            let own = issues.filter(|issue| issue["check_name"] == "a.b");
            own.map(|issue| issue["fingerprint"].clone())
                .collect::<Vec<_>>()
        };
        let before = fingerprints("b = 1\nb = 2\nb = 3\n", false);
        assert_eq!(before, fingerprints("a = 0\nb = 1\nb = 2\nb = 3\n", true));
        let each: std::collections::BTreeSet<String> =
            before.iter().map(ToString::to_string).collect();
        assert_eq!(each.len(), 3);
    }

    #[test]
    fn each_finding_is_an_issue_with_a_file_and_its_own_fingerprint() {
        let mut sources = SourceMap::default();
        sources.insert("app/image.toml", "a = 1\nb = 2\n");
        sources.set_prefix("fleet");
        let mut found = Diagnostics::new();
        found.push(Diagnostic::error("a.b", "wrong").at("app/image.toml", 6..7, ""));
        found.push(Diagnostic::error("a.b", "wrong").at("app/image.toml", 0..1, ""));
        let mut warning = Diagnostic::error("c.d", "old").help("update it");
        warning.severity = Severity::Warning;
        warning.image = Some("app:1.0.0".to_owned());
        found.push(warning);
        let issues: Value = serde_json::from_str(&report(&found, &sources)).unwrap();
        let issues = issues.as_array().unwrap();
        assert_eq!(issues.len(), 3);
        assert_eq!(
            issues[0]["location"],
            json!({ "path": "fleet/app/image.toml", "lines": { "begin": 2 } })
        );
        assert_eq!(issues[0]["severity"], "major");
        assert_eq!(issues[1]["location"]["lines"]["begin"], 1);
        assert_ne!(issues[0]["fingerprint"], issues[1]["fingerprint"]);
        assert_eq!(issues[2]["check_name"], "c.d");
        assert_eq!(issues[2]["severity"], "minor");
        assert_eq!(issues[2]["description"], "app:1.0.0: old (update it)");
        assert_eq!(issues[2]["location"]["path"], "fleet/golden.toml");
    }
}
