//! The page with the table of all images.

use serde::Serialize;

use super::words::{self, Badge, DatedAge, FindingView, StateView, Tone};
use crate::app::site::SiteReport;
use crate::app::site::data::SiteImage;
use crate::report::text::bytes;

#[derive(Debug, Serialize)]
pub(super) struct IndexView {
    registries: Vec<String>,
    /// The states that an image has, each with the number of images.
    states: Vec<StateView>,
    images: Vec<IndexRow>,
    findings: Vec<FindingView>,
}

#[derive(Debug, Serialize)]
struct IndexRow {
    page: String,
    name: String,
    variant: Option<String>,
    version: Option<String>,
    age: DatedAge,
    platforms: String,
    base: String,
    freshness: Badge,
    size: Option<String>,
    size_in_bytes: u64,
    tests: String,
    /// The text for a missing fact.
    absent: &'static str,
    states: Vec<Badge>,
    /// The names of the states for the filter.
    keys: String,
    /// The rank of the worst state, for sorting.
    rank: usize,
}

/// The states in the order of their weight.
const STATES: [(&str, &str, Tone); 9] = [
    ("unread", "cannot be read", Tone::Bad),
    ("revoked", "revoked", Tone::Bad),
    ("eol", "end of life", Tone::Bad),
    ("errors", "with errors", Tone::Bad),
    ("tests", "with failed tests", Tone::Bad),
    ("stale", "on a stale base", Tone::Warn),
    ("warnings", "with warnings", Tone::Warn),
    ("unpublished", "not published", Tone::Plain),
    ("ok", "ok", Tone::Good),
];

pub(super) fn view(report: &SiteReport) -> IndexView {
    let images: Vec<IndexRow> = report
        .images
        .iter()
        .map(|one| row(one, report.now))
        .collect();
    let states = STATES.map(|(key, text, tone)| {
        let has = |row: &&IndexRow| row.states.iter().any(|state| state.key == key);
        StateView {
            key,
            text,
            tone,
            images: images.iter().filter(has).count(),
        }
    });
    IndexView {
        registries: report.registries.clone(),
        states: states
            .into_iter()
            .filter(|state| state.images > 0)
            .collect(),
        images,
        findings: words::findings(&report.found, &report.sources, "the workspace"),
    }
}

fn row(image: &SiteImage, now: i64) -> IndexRow {
    let newest = image.newest();
    let states = words::states(image, now);
    let keys: Vec<&str> = states.iter().map(|state| state.key).collect();
    let rank = |key: &&str| STATES.iter().position(|(known, ..)| known == key);
    IndexRow {
        page: image.key.page(),
        name: image.key.name.to_string(),
        variant: image.key.variant.as_ref().map(ToString::to_string),
        version: newest.map(|one| one.version.clone()),
        age: words::age(newest.and_then(|one| one.time.as_deref()), now),
        platforms: newest.map(words::platforms).unwrap_or_default(),
        base: image.base.name.clone(),
        freshness: words::freshness(&image.base.freshness),
        size: newest.map(|one| bytes(one.size)),
        size_in_bytes: newest.map_or(0, |one| one.size),
        tests: words::tests(image),
        absent: words::absent(image, "–"),
        rank: keys.iter().filter_map(rank).min().unwrap_or(STATES.len()),
        keys: keys.join(" "),
        states,
    }
}
