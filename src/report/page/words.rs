//! The words for states, times and findings.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use serde::Serialize;

use crate::app::site::data::{Freshness, SiteImage, SiteReport, SiteVersion};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity, SourceMap};
use crate::oci::lifecycle::{Announcement, LifecycleState, seconds};
use crate::reference::Digest;
use crate::report::conceal::conceal;
use crate::report::text::count;

/// The seconds of a day.
const DAY: i64 = 86_400;
/// The number of days before an end of life in which it is a state of the image.
const SOON: i64 = 90;

/// The kind of a state, the best first. It decides the colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Tone {
    Good,
    Plain,
    Warn,
    Bad,
}

/// A state in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Badge {
    /// The name of the state for the filter of the index.
    pub(super) key: &'static str,
    pub(super) tone: Tone,
    pub(super) text: String,
}

impl Badge {
    pub(super) fn new(key: &'static str, tone: Tone, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { key, tone, text }
    }
}

/// A state with the number of images that have it.
#[derive(Debug, Serialize)]
pub(super) struct StateView {
    /// The name for the filter.
    pub(super) key: &'static str,
    pub(super) text: &'static str,
    pub(super) tone: Tone,
    pub(super) images: usize,
}

/// A digest for display, and in full.
#[derive(Debug, Serialize)]
pub(super) struct DigestView {
    short: String,
    full: String,
}

impl From<&Digest> for DigestView {
    fn from(digest: &Digest) -> Self {
        Self {
            short: digest.short(),
            full: digest.to_string(),
        }
    }
}

/// A time with its age.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct DatedAge {
    /// The day, or the text of the registry if it is not a time.
    pub(super) date: String,
    /// The age in words; empty if it is unknown.
    pub(super) text: String,
    /// The age in days; absent if it is unknown.
    pub(super) days: Option<i64>,
}

/// The age of a time in RFC 3339.
pub(super) fn age(time: Option<&str>, now: i64) -> DatedAge {
    let Some(time) = time else {
        return DatedAge::default();
    };
    let Some(then) = seconds(time) else {
        return DatedAge {
            date: time.to_owned(),
            ..DatedAge::default()
        };
    };
    let days = (now - then).max(0) / DAY;
    let number = |number: i64, noun: &str| count(usize::try_from(number).unwrap_or(0), noun);
    let text = match days {
        0 => "today".to_owned(),
        1..=59 => number(days, "day"),
        60..=729 => number(days / 30, "month"),
        _ => number(days / 365, "year"),
    };
    DatedAge {
        date: time.get(..10).unwrap_or(time).to_owned(),
        text,
        days: Some(days),
    }
}

/// A finding.
#[derive(Debug, Serialize)]
pub(super) struct FindingView {
    pub(super) severity: &'static str,
    pub(super) tone: Tone,
    pub(super) rule: String,
    pub(super) message: String,
    pub(super) help: Option<String>,
    /// The place in a file, or the published image.
    pub(super) place: String,
}

/// Findings, errors first. `about` is their place if they have none in a file.
pub(super) fn findings(found: &Diagnostics, sources: &SourceMap, about: &str) -> Vec<FindingView> {
    findings_at(found, sources, |_| about.to_owned())
}

/// Findings, errors first. `about` names the place of a finding that has none in a file.
pub(super) fn findings_at(
    found: &Diagnostics,
    sources: &SourceMap,
    about: impl Fn(&Diagnostic) -> String,
) -> Vec<FindingView> {
    let found = conceal(found, sources);
    let mut findings: Vec<FindingView> = found
        .iter()
        .map(|one| {
            let place = one.labels.first().map(|label| {
                let file = label.file.display();
                match sources.position(&label.file, label.span.start) {
                    Some(at) => format!("{file}:{}", at.line),
                    None => file.to_string(),
                }
            });
            let (severity, tone) = match one.severity {
                Severity::Error => ("error", Tone::Bad),
                Severity::Warning => ("warning", Tone::Warn),
            };
            FindingView {
                severity,
                tone,
                rule: one.rule.to_string(),
                message: one.message.clone(),
                help: one.help.clone(),
                place: place.unwrap_or_else(|| about(one)),
            }
        })
        .collect();
    findings.sort_by_key(|one| one.severity);
    once(findings)
}

/// The findings about an image, in its spec and in its newest version. A finding about both, or about
/// several platforms, is one finding with several places.
pub(super) fn findings_of(image: &SiteImage, report: &SiteReport) -> Vec<FindingView> {
    let mut all = findings(&image.found, &report.sources, &image.source);
    let content = image.content.as_ref();
    if let Some(audited) = content.and_then(|one| one.audited.as_ref()) {
        let about = audited.reference.to_string();
        all.extend(findings(&audited.found, &report.sources, &about));
    }
    all.sort_by_key(|one| one.severity);
    once(all)
}

/// Equal findings as one, with all their places.
fn once(all: Vec<FindingView>) -> Vec<FindingView> {
    let mut each: Vec<FindingView> = Vec::new();
    for finding in all {
        let is_same = |one: &&mut FindingView| {
            one.severity == finding.severity
                && one.rule == finding.rule
                && one.message == finding.message
        };
        match each.iter_mut().find(is_same) {
            None => each.push(finding),
            Some(one) if one.place.split("; ").any(|place| place == finding.place) => {}
            Some(one) => one.place = format!("{}; {}", one.place, finding.place),
        }
    }
    each
}

/// The number of findings of a severity about an image, in its spec and in its newest version.
pub(super) fn number_of(image: &SiteImage, severity: Severity) -> usize {
    let published = image.content.as_ref().and_then(|one| one.audited.as_ref());
    let published = published.into_iter().flat_map(|one| one.found.iter());
    let all = image.found.iter().chain(published);
    let all = all.filter(|one| one.severity == severity);
    let each: BTreeSet<_> = all.map(|one| (&one.rule, &one.message)).collect();
    each.len()
}

/// The freshness of a base.
pub(super) fn freshness(freshness: &Freshness) -> Badge {
    match freshness {
        Freshness::Current => Badge::new("", Tone::Good, "current"),
        Freshness::Newer(version) => Badge::new("stale", Tone::Warn, format!("{version} is newer")),
        Freshness::Moved(digest) => {
            let text = format!("the tag moved to {}", digest.short());
            Badge::new("stale", Tone::Warn, text)
        }
        Freshness::Fixed => Badge::new("", Tone::Plain, "fixed"),
        Freshness::Unknown(reason) => Badge::new("", Tone::Plain, format!("unknown: {reason}")),
    }
}

/// The announcements about a version, and its revocation in the spec if that is not announced.
pub(super) fn lifecycle(version: &SiteVersion, now: i64) -> Vec<Badge> {
    let state = version.lifecycle.as_ref();
    let announced = state.and_then(|state| state.revoked.as_ref());
    let declared = version.declared.as_ref().filter(|_| announced.is_none());
    let announced = announced.map(|one| revoked(one, now));
    let declared = declared.map(|one| only_declared(revoked(one, now), state));
    let end = state.and_then(|state| state.end_of_life.as_ref());
    let end = end.map(|one| end_of_life(one, now));
    announced.into_iter().chain(declared).chain(end).collect()
}

/// The state of something that the spec declares. `state` are the announcements that were read.
pub(super) fn only_declared(mut badge: Badge, state: Option<&LifecycleState>) -> Badge {
    badge.text.push_str(match state {
        Some(_) => " (declared in the spec, not announced)",
        None => " (declared in the spec)",
    });
    badge
}

fn revoked(one: &Announcement, now: i64) -> Badge {
    let details = details(one);
    if one.counts(now) {
        Badge::new("revoked", Tone::Bad, format!("revoked{details}"))
    } else {
        let text = format!("revoked from {}{details}", day(one));
        Badge::new("revoked", Tone::Warn, text)
    }
}

/// An end of life.
pub(super) fn end_of_life(one: &Announcement, now: i64) -> Badge {
    let text = format!("end of life {}", day(one));
    let tone = match one.days_until(now) {
        _ if one.counts(now) => Tone::Bad,
        ..=SOON => Tone::Warn,
        _ => Tone::Plain,
    };
    Badge::new("eol", tone, text)
}

fn day(one: &Announcement) -> &str {
    let from = one.from.as_deref().unwrap_or_default();
    from.get(..10).unwrap_or(from)
}

fn details(one: &Announcement) -> String {
    let reason = one.reason.as_ref().map(|reason| format!(": {reason}"));
    let instead = one.replacement.as_ref();
    let instead = instead.map(|version| format!("; use {version} instead"));
    format!(
        "{}{}",
        reason.unwrap_or_default(),
        instead.unwrap_or_default()
    )
}

/// The states of an image, the worst first; `ok` if nothing is wrong.
pub(super) fn states(image: &SiteImage, now: i64) -> Vec<Badge> {
    let mut states = Vec::new();
    if image.places.iter().any(|place| place.is_unread) {
        states.push(Badge::new("unread", Tone::Bad, "registry cannot be read"));
    } else if !image.problems.is_empty() {
        states.push(Badge::new("unread", Tone::Bad, "incomplete"));
    }
    let newest = image.newest();
    let mut announced: Vec<Badge> = newest.map(|one| lifecycle(one, now)).unwrap_or_default();
    if let Some(end) = &image.end_of_life
        && announced.iter().all(|badge| badge.key != "eol")
    {
        announced.push(end_of_life(end, now));
    }
    announced.retain(|badge| badge.tone != Tone::Plain);
    for mut badge in announced {
        // The page of the image has the reason.
        let end = badge.text.find([':', ';']).unwrap_or(badge.text.len());
        badge.text.truncate(end);
        states.push(badge);
    }
    let errors = number_of(image, Severity::Error);
    if errors > 0 {
        states.push(Badge::new("errors", Tone::Bad, count(errors, "error")));
    }
    let results = image.content.as_ref().and_then(|one| one.results.as_ref());
    let failed = results.map_or(0, crate::checks::TestedPlatform::failed);
    if failed > 0 {
        let text = format!("{} failed", count(failed, "test"));
        states.push(Badge::new("tests", Tone::Bad, text));
    }
    if image.base.freshness.is_stale() {
        states.push(Badge::new("stale", Tone::Warn, "stale base"));
    }
    let warnings = number_of(image, Severity::Warning);
    if warnings > 0 {
        let text = count(warnings, "warning");
        states.push(Badge::new("warnings", Tone::Warn, text));
    }
    let is_unread = states.iter().any(|badge| badge.key == "unread");
    if image.newest().is_none() && !is_unread {
        states.push(Badge::new("unpublished", Tone::Plain, "not published"));
    }
    states.sort_by_key(|badge| Reverse(badge.tone));
    if states.is_empty() {
        states.push(Badge::new("ok", Tone::Good, "ok"));
    }
    states
}

/// The results of the tests in words.
pub(super) fn tests(image: &SiteImage) -> String {
    let results = image.content.as_ref().and_then(|one| one.results.as_ref());
    match results {
        _ if image.tests.is_empty() => "none".to_owned(),
        None => format!("{} not run", image.tests.len()),
        Some(results) if results.failed() > 0 => {
            format!("{} of {} failed", results.failed(), results.tests.len())
        }
        Some(results) => {
            let passed = results.tests.iter().filter(|test| test.passed).count();
            match results.tests.len() - passed {
                0 => format!("{passed} passed"),
                others => format!("{passed} passed, {others} not run"),
            }
        }
    }
}

/// The text for a missing fact about the newest version: `unpublished`, unless a registry that may
/// have a version was not read.
pub(super) fn absent(image: &SiteImage, unpublished: &'static str) -> &'static str {
    if image.newest().is_none() && image.places.iter().any(|place| place.is_unread) {
        "not read"
    } else {
        unpublished
    }
}

/// The platforms of a version in one line.
pub(super) fn platforms(version: &SiteVersion) -> String {
    version.platforms.join(", ")
}
