//! The code quality report of GitLab (docs.gitlab.com, "Code Quality report format").

use serde_json::{Value, json};

use super::place::ReportLocation;
use super::text::{escaped_json, visible};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity, SourceMap};
use crate::reference::Digest;

/// The file of findings that have no place: GitLab shows only findings in files.
const WORKSPACE_FILE: &str = "golden.toml";

/// A report with one issue for each finding.
pub(super) fn report(found: &Diagnostics, sources: &SourceMap) -> String {
    let mut issues: Vec<Value> = Vec::new();
    for (n, diagnostic) in found.iter().enumerate() {
        let mut issue = issue(diagnostic, sources);
        // GitLab drops issues with the same fingerprint.
        let same = |other: &Value| other["fingerprint"] == issue["fingerprint"];
        if issues.iter().any(same) {
            let unique = format!("{}\n{n}", issue["fingerprint"]);
            issue["fingerprint"] = json!(Digest::of(unique.as_bytes()).hex());
        }
        issues.push(issue);
    }
    format!("{}\n", escaped_json(&format!("{:#}", Value::Array(issues))))
}

fn issue(diagnostic: &Diagnostic, sources: &SourceMap) -> Value {
    let place = ReportLocation::main(diagnostic, sources);
    let line = place.as_ref().and_then(|place| place.start.as_ref());
    let line = line.map_or(1, |start| start.line);
    let path = place.map_or_else(|| WORKSPACE_FILE.to_owned(), |place| place.file);
    let mut message = diagnostic.message.clone();
    if let Some(image) = &diagnostic.image {
        message = format!("{image}: {message}");
    }
    // The line is not a part of it, so that GitLab recognises an issue that only moved.
    let identity = format!("{}\n{path}\n{message}", diagnostic.rule);
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
    fn each_finding_is_an_issue_with_a_file_and_its_own_fingerprint() {
        let mut sources = SourceMap::default();
        sources.insert("app/image.toml", "a = 1\nb = 2\n");
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
            json!({ "path": "app/image.toml", "lines": { "begin": 2 } })
        );
        assert_eq!(issues[0]["severity"], "major");
        assert_eq!(issues[1]["location"]["lines"]["begin"], 1);
        assert_ne!(issues[0]["fingerprint"], issues[1]["fingerprint"]);
        assert_eq!(issues[2]["check_name"], "c.d");
        assert_eq!(issues[2]["severity"], "minor");
        assert_eq!(issues[2]["description"], "app:1.0.0: old (update it)");
        assert_eq!(issues[2]["location"]["path"], "golden.toml");
    }
}
