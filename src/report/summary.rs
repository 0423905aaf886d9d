//! The end of `build` and `push`: the failures and the summary table.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use super::table::TextTable;
use super::text::{bytes, count, duration};
use super::{
    Out, OutputFormat, conceal, diagnostics, failure, gated, json, sarif, tested, unavailable,
};
use crate::app::build::FinishedBuild;
use crate::app::pipeline::{Failed, ImageOutcome, ImageReport, PublishedTags, RunResult};
use crate::diagnostic::{Diagnostics, SourceMap};
use crate::engine;
use crate::publish::Receipt;
use crate::reference::Tag;

/// The content of `--format json` and `--metadata-file`.
#[derive(Serialize)]
struct Summary<'a> {
    /// The result of each image.
    images: &'a [ImageReport],
    /// The files and directories that assembled images were written to.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    places: &'a [String],
}

impl<'a> Summary<'a> {
    fn of(built: &'a FinishedBuild) -> Self {
        Self {
            images: &built.ended.reports,
            places: &built.places,
        }
    }
}

/// The content of the file of `--metadata-file`.
#[must_use]
pub fn metadata(built: &FinishedBuild) -> String {
    json::with_schema(&Summary::of(built))
}

/// Shows the failures and the summary. With `quiet`, the summary is not shown as text.
pub fn summary(out: &Out, format: OutputFormat, quiet: bool, built: &mut FinishedBuild) {
    let FinishedBuild {
        prepared, ended, ..
    } = built;
    let sources = &prepared.session.sources;
    let found = violations(ended);
    let failed: BTreeSet<usize> = ended
        .failures
        .iter()
        .map(|(position, _)| *position)
        .collect();
    failures(out, sources, ended);
    if format == OutputFormat::Sarif {
        let gates = ended.reports.iter().flat_map(|report| &report.gates);
        let logs: Vec<_> = gates.filter_map(|gate| gate.sarif.clone()).collect();
        let found = conceal::conceal(&found, sources);
        out.data(&sarif::log(&found, sources, &logs));
    } else if format == OutputFormat::Json {
        out.json(&Summary::of(built));
    } else if !quiet {
        out.data(&table(&ended.reports, &failed));
        if let Some(totals) = totals(&ended.reports, ended.elapsed) {
            out.data(&format!("{totals}\n"));
        }
    }
}

/// The violations of the policy by the images of a run.
fn violations(ended: &RunResult) -> Diagnostics {
    let mut violations = Diagnostics::new();
    for (_, failed) in &ended.failures {
        if let Failed::Policy { found, .. } = failed {
            violations.extend(found.clone());
        }
    }
    violations
}

/// Shows the failures of a run.
pub fn failures(out: &Out, sources: &SourceMap, ended: &mut RunResult) {
    let (mut bases, mut others) = (Vec::new(), Vec::new());
    for (position, failed) in std::mem::take(&mut ended.failures) {
        match failed {
            Failed::Base { error, location } => bases.push((error, location)),
            failed => others.push((position, failed)),
        }
    }
    unavailable(out, sources, &bases);
    for (position, failed) in others {
        explain(out, sources, &ended.reports[position], failed);
    }
}

fn explain(out: &Out, sources: &SourceMap, report: &ImageReport, failed: Failed) {
    let image = format!("{}:{}", report.image, report.version);
    if let Failed::Policy { found, .. } = &failed {
        diagnostics(out, OutputFormat::Text, found, &SourceMap::default());
    }
    let hints = failed.hints();
    let tests = tested::failures(&report.tests, sources) + &gated::failures(&report.gates);
    let what = what_failed(&failed, sources);
    let named = NamedFailure {
        what: format!("{image}: {what}"),
        failed,
    };
    failure(out, &named, &hints);
    if !tests.is_empty() {
        out.error(tests.trim_end());
    }
}

/// The failure, with the location of a failed step.
fn what_failed(failed: &Failed, sources: &SourceMap) -> String {
    let Failed::Engine(engine::Error::Step {
        step,
        exit_code,
        output,
    }) = failed
    else {
        return if failed.is_refusal() {
            format!("refused: {}", failed.reason())
        } else {
            failed.reason()
        };
    };
    let place = step.location.as_ref().and_then(|location| {
        let line = sources.position(&location.file, location.span.start)?.line;
        Some(format!(
            " ({}:{line})",
            sources.shown(&location.file).display()
        ))
    });
    format!(
        "{}{} failed{}",
        step.name,
        place.unwrap_or_default(),
        output.outcome(*exit_code)
    )
}

/// A failure and the name of its image.
#[derive(Debug)]
struct NamedFailure {
    what: String,
    failed: Failed,
}

impl std::fmt::Display for NamedFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for NamedFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.failed)
    }
}

/// The columns of the table.
pub(super) const COLUMNS: [&str; 5] = ["IMAGE", "OUTCOME", "RESULT", "SIZE", "TIME"];

/// The table on a terminal. The errors of the images at the positions `failed`
/// have been shown on stderr.
fn table(reports: &[ImageReport], failed: &BTreeSet<usize>) -> String {
    let mut table = TextTable::new(COLUMNS);
    for (position, report) in reports.iter().enumerate() {
        for mut row in rows(std::slice::from_ref(report)) {
            if failed.contains(&position) {
                "see the error message".clone_into(&mut row[2]);
            }
            table.row(row);
        }
    }
    table.to_string()
}

/// One row for each image, or for each registry of an image.
pub(super) fn rows(reports: &[ImageReport]) -> Vec<[String; 5]> {
    let mut rows = Vec::new();
    for report in reports {
        let variant = report
            .variant
            .as_ref()
            .map(|variant| format!("-{variant}"))
            .unwrap_or_default();
        let image = format!("{}:{}{variant}", report.image, report.version);
        let mut row = |result: String, size: String, time: String| {
            rows.push([
                image.clone(),
                report.outcome.verb().to_owned(),
                result,
                size,
                time,
            ]);
        };
        let is_present = !matches!(
            report.outcome,
            ImageOutcome::Failed
                | ImageOutcome::Refused
                | ImageOutcome::Skipped
                | ImageOutcome::Withdrawn
        );
        match report.receipts.as_slice() {
            receipts if is_present && !receipts.is_empty() => {
                for receipt in receipts {
                    let size = receipt.size.map(bytes).unwrap_or_default();
                    row(published(receipt), size, spent(&receipt.durations));
                }
            }
            _ if is_present && !report.in_place.is_empty() => {
                for PublishedTags { repository, tags } in &report.in_place {
                    let shown = with_tags(&repository.to_string(), tags.iter());
                    row(
                        shown.unwrap_or_else(|| repository.to_string()),
                        String::new(),
                        String::new(),
                    );
                }
            }
            _ if is_present => {
                row(local(report), String::new(), spent(&report.durations));
            }
            _ => row(report.because.clone(), String::new(), String::new()),
        }
    }
    rows
}

/// The published reference, with the other tags that point to the same image.
fn published(receipt: &Receipt) -> String {
    let tags = receipt
        .tags
        .iter()
        .filter(|tag| tag.digest.as_ref() == Some(&receipt.digest))
        .map(|tag| &tag.tag);
    with_tags(&receipt.repository.to_string(), tags)
        .unwrap_or_else(|| format!("{}@{}", receipt.repository, receipt.digest))
}

/// The reference in the engine, or the digest of an image that no engine has.
fn local(report: &ImageReport) -> String {
    let repository = report.local.first().map(|name| name.repository.to_string());
    let tags = report.local.iter().filter_map(|name| name.tag.as_ref());
    let named = repository.and_then(|repository| with_tags(&repository, tags));
    let digest = || report.digest.as_ref().map(ToString::to_string);
    named
        .or_else(digest)
        .unwrap_or_else(|| report.because.clone())
}

/// `REPOSITORY:FIRST (OTHER, …)`; `None` without tags.
fn with_tags<'t>(repository: &str, mut tags: impl Iterator<Item = &'t Tag>) -> Option<String> {
    let first = tags.next()?;
    let others: Vec<&str> = tags.map(Tag::as_str).collect();
    Some(if others.is_empty() {
        format!("{repository}:{first}")
    } else {
        format!("{repository}:{first} ({})", others.join(", "))
    })
}

/// The sum of the durations of all phases.
fn spent(durations: &std::collections::BTreeMap<String, u64>) -> String {
    if durations.is_empty() {
        return String::new();
    }
    duration(Duration::from_millis(durations.values().sum()))
}

/// `12 images: 3 published, 9 unchanged in 4.2 s`; `None` for a single image.
pub(super) fn totals(reports: &[ImageReport], elapsed: Duration) -> Option<String> {
    if reports.len() < 2 {
        return None;
    }
    let outcomes: Vec<String> = ImageOutcome::ALL
        .into_iter()
        .map(|outcome| {
            let number = reports.iter().filter(|report| report.outcome == outcome);
            (number.count(), outcome.verb())
        })
        .filter(|(number, _)| *number > 0)
        .map(|(number, verb)| format!("{number} {verb}"))
        .collect();
    Some(format!(
        "{}: {} in {}",
        count(reports.len(), "image"),
        outcomes.join(", "),
        duration(elapsed)
    ))
}
