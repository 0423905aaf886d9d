//! The page of `golden audit`: which images or files comply with the policy, and the findings.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::words::{self, Badge, DigestView, FindingView, StateView, Tone};
use crate::app::audit::{Audited, AuditedImage};
use crate::app::audit_files::AuditedFiles;
use crate::diagnostic::{Diagnostic, Diagnostics, Severity, SourceMap};
use crate::policy::rule;
use crate::report::text::count;

#[derive(Debug, Serialize)]
pub(super) struct AuditView {
    /// The numbers of images in one sentence.
    summary: String,
    /// True if the rows are images; false if they are files.
    has_images: bool,
    states: Vec<StateView>,
    rows: Vec<AuditRow>,
    rules: Vec<RuleView>,
    problems: Vec<String>,
}

#[derive(Debug, Serialize)]
struct AuditRow {
    name: String,
    result: Badge,
    /// The rank of the result, for sorting.
    rank: usize,
    rules: Vec<String>,
    findings: Vec<FindingView>,
    platforms: String,
    digest: Option<DigestView>,
}

/// A violated rule with its explanation.
#[derive(Debug, Serialize)]
struct RuleView {
    id: String,
    /// The number of rows that violate it.
    rows: usize,
    summary: &'static str,
    paragraphs: Vec<Vec<PieceView>>,
}

/// A part of an explanation.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct PieceView {
    text: String,
    is_code: bool,
}

/// The results in the order of their weight.
const RESULTS: [(&str, &str, Tone); 3] = [
    ("errors", "with errors", Tone::Bad),
    ("warnings", "with warnings only", Tone::Warn),
    ("ok", "without findings", Tone::Good),
];

/// The page about images.
pub(super) fn images(audited: &Audited, summary: String) -> AuditView {
    let problems = audited.problems.iter();
    let problems = problems.map(|one| format!("{} cannot be read: {}", one.reference, one.problem));
    let failures = audited.failures.iter().map(ToString::to_string);
    AuditView {
        has_images: true,
        problems: problems.chain(failures).collect(),
        ..view(audited.images.iter().map(image).collect(), summary)
    }
}

/// The page about files: a row for each file with a finding.
pub(super) fn files(audited: &AuditedFiles, summary: String) -> AuditView {
    let mut files = BTreeMap::<String, Diagnostics>::new();
    for finding in audited.found.iter() {
        let label = finding.labels.first();
        let file = label.map(|label| audited.sources.shown(&label.file).display().to_string());
        let found = files.entry(file.unwrap_or_default()).or_default();
        found.push(finding.clone());
    }
    let rows = files.into_iter();
    let rows = rows.map(|(file, found)| {
        let number = |severity| found.iter().filter(|one| one.severity == severity).count();
        let (errors, warnings) = (number(Severity::Error), number(Severity::Warning));
        let rules: BTreeSet<String> = found.iter().map(|one| one.rule.to_string()).collect();
        AuditRow {
            rules: rules.into_iter().collect(),
            findings: words::findings(&found, &audited.sources, &file),
            ..row(file, errors == 0, errors, warnings)
        }
    });
    let problems = audited.problems.iter().chain(&audited.unchecked);
    AuditView {
        problems: problems.cloned().collect(),
        ..view(rows.collect(), summary)
    }
}

fn view(rows: Vec<AuditRow>, summary: String) -> AuditView {
    let states = RESULTS.map(|(key, text, tone)| StateView {
        key,
        text,
        tone,
        images: rows.iter().filter(|row| row.result.key == key).count(),
    });
    let states = states.into_iter().filter(|state| state.images > 0);
    AuditView {
        summary,
        has_images: false,
        states: states.collect(),
        rules: rules(&rows),
        rows,
        problems: Vec::new(),
    }
}

fn image(image: &AuditedImage) -> AuditRow {
    let name = image.reference.to_string();
    // The row names the image, so a finding names only its platform.
    let platform = |one: &Diagnostic| {
        let shown = one
            .image
            .as_deref()
            .and_then(|shown| shown.strip_prefix(&name));
        let platform = shown.unwrap_or_default().trim();
        platform.trim_matches(['(', ')']).to_owned()
    };
    let findings = words::findings_at(&image.found, &SourceMap::default(), platform);
    AuditRow {
        rules: image.rules.clone(),
        findings,
        platforms: image.platforms.join(", "),
        digest: Some(DigestView::from(&image.digest)),
        ..row(name, image.compliant, image.errors, image.warnings)
    }
}

/// A row without its findings.
fn row(name: String, complies: bool, errors: usize, warnings: usize) -> AuditRow {
    let (rank, text) = match (complies, warnings) {
        (true, 0) => (2, "complies".to_owned()),
        (true, warnings) => (1, count(warnings, "warning")),
        (false, 0) => (0, count(errors, "error")),
        (false, warnings) => {
            let (errors, warnings) = (count(errors, "error"), count(warnings, "warning"));
            (0, format!("{errors}, {warnings}"))
        }
    };
    let (key, _, tone) = RESULTS[rank];
    AuditRow {
        name,
        result: Badge::new(key, tone, text),
        rank,
        rules: Vec::new(),
        findings: Vec::new(),
        platforms: String::new(),
        digest: None,
    }
}

/// The violated rules, each with the number of its rows.
fn rules(rows: &[AuditRow]) -> Vec<RuleView> {
    let mut violated = BTreeMap::<&str, usize>::new();
    for id in rows.iter().flat_map(|row| &row.rules) {
        *violated.entry(id).or_default() += 1;
    }
    let rules = violated.into_iter();
    let rules = rules.map(|(id, rows)| {
        let known = rule(id);
        RuleView {
            id: id.to_owned(),
            rows,
            summary: known.map(|rule| rule.summary).unwrap_or_default(),
            paragraphs: known.map(|rule| paragraphs(rule.docs)).unwrap_or_default(),
        }
    });
    rules.collect()
}

/// The paragraphs of an explanation. Text between backticks is code.
fn paragraphs(docs: &str) -> Vec<Vec<PieceView>> {
    let paragraphs = docs.trim().split("\n\n");
    let pieces = |paragraph: &str| {
        let text = paragraph.replace('\n', " ");
        let pieces = text.split('`').enumerate();
        let pieces = pieces.map(|(position, text)| PieceView {
            text: text.to_owned(),
            is_code: position % 2 == 1,
        });
        pieces.filter(|piece| !piece.text.is_empty()).collect()
    };
    paragraphs.map(pieces).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::RULES;
    use crate::reference::{Digest, Reference};

    #[test]
    fn a_row_has_the_numbers_of_the_audit() {
        let reference: Reference = "registry.example.com/app:1.0.0".parse().unwrap();
        let platforms = ["linux/amd64", "linux/arm64"].map(str::to_owned);
        let mut found = Diagnostics::new();
        for platform in &platforms {
            let finding = Diagnostic::error("config.deny_root", "the image runs as root");
            found.push(finding.about(format!("{reference} ({platform})")));
        }
        let row = image(&AuditedImage {
            digest: Digest::of(b"app"),
            reference,
            tags: Vec::new(),
            platforms: platforms.to_vec(),
            compliant: false,
            errors: 2,
            warnings: 0,
            rules: vec!["config.deny_root".to_owned()],
            found,
        });
        assert_eq!((row.result.key, &*row.result.text), ("errors", "2 errors"));
        assert_eq!(row.rules, ["config.deny_root"]);
        // Findings that differ only in their platforms are shown once.
        assert_eq!(row.findings.len(), 1);
        assert_eq!(row.findings[0].place, "linux/amd64; linux/arm64");
    }

    #[test]
    fn an_explanation_has_paragraphs_with_code() {
        let piece = |text: &str, is_code| PieceView {
            text: text.to_owned(),
            is_code,
        };
        let expected = vec![
            vec![
                piece("Set ", false),
                piece("user", true),
                piece(" here.", false),
            ],
            vec![piece("x", true)],
        ];
        assert_eq!(paragraphs("Set `user`\nhere.\n\n`x`\n"), expected);
        for rule in RULES {
            assert_eq!(rule.docs.matches('`').count() % 2, 0, "{}", rule.id);
        }
    }
}
