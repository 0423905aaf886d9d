//! The page of one image.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::charts::{self, Chart};
use super::lineage::{self, LineageView};
use super::words::{self, Badge, DatedAge, DigestView, FindingView, Tone};
use crate::app::site::SiteReport;
use crate::app::site::data::{SiteContent, SiteImage, SiteRepository, SiteTag, SiteVersion};
use crate::diagnostic::Severity;
use crate::inventory::{PackageChange, PackageEntry};
use crate::reference::Digest;
use crate::report::text::{bytes, count, growth};

/// The most versions in the table of a registry.
const MOST_VERSIONS: usize = 100;

#[derive(Debug, Serialize)]
pub(super) struct ImageView {
    title: String,
    name: String,
    variant: Option<String>,
    version: Option<String>,
    description: Option<String>,
    states: Vec<Badge>,
    problems: Vec<String>,
    summary: SummaryView,
    lineage: LineageView,
    findings: Vec<FindingView>,
    finding_summary: String,
    tests: Vec<TestView>,
    test_summary: String,
    layers: Vec<LayerView>,
    layer_chart: Option<Chart>,
    version_chart: Option<Chart>,
    places: Vec<SiteRepositoryView>,
    changes: Option<ChangesView>,
    packages: Option<Vec<PackageView>>,
    gaps: Vec<String>,
    labels: Vec<(String, String)>,
}

/// The facts at the top of the page.
#[derive(Debug, Serialize)]
struct SummaryView {
    source: String,
    declared: String,
    reference: Option<String>,
    /// The text if there is no reference.
    absent: &'static str,
    digest: Option<DigestView>,
    platforms: String,
    platform: Option<String>,
    age: DatedAge,
    size: Option<String>,
    base: String,
    base_digest: Option<DigestView>,
    freshness: Badge,
    lifecycle: Vec<Badge>,
}

#[derive(Debug, Serialize)]
struct TestView {
    name: String,
    result: Badge,
    failures: Vec<String>,
}

#[derive(Debug, Serialize)]
struct LayerView {
    digest: DigestView,
    size: String,
    size_in_bytes: u64,
    owner: &'static str,
    step: String,
}

#[derive(Debug, Serialize)]
struct SiteRepositoryView {
    repository: String,
    is_unread: bool,
    versions: Vec<VersionView>,
    hidden: usize,
    /// The tags that point to none of the versions.
    others: Vec<OtherTagView>,
}

#[derive(Debug, Serialize)]
struct OtherTagView {
    tag: TagView,
    digest: DigestView,
}

#[derive(Debug, Serialize)]
struct VersionView {
    version: String,
    tags: Vec<TagView>,
    digest: DigestView,
    platforms: String,
    age: DatedAge,
    size: String,
    size_in_bytes: u64,
    lifecycle: Vec<Badge>,
    is_lifecycle_read: bool,
}

#[derive(Debug, Serialize)]
struct TagView {
    tag: String,
    channel: Option<String>,
}

#[derive(Debug, Serialize)]
struct ChangesView {
    from: String,
    to: String,
    growth: String,
    rows: Vec<ChangeView>,
    summary: String,
}

#[derive(Debug, Serialize)]
struct ChangeView {
    change: Badge,
    name: String,
    kind: String,
    from: String,
    to: String,
}

#[derive(Debug, Serialize)]
struct PackageView {
    name: String,
    version: String,
    kind: String,
    source: String,
    license: String,
}

pub(super) fn view(image: &SiteImage, report: &SiteReport) -> ImageView {
    let now = report.now;
    let content = image.content.as_ref();
    let layers = content.map(|one| one.layers.as_slice()).unwrap_or_default();
    let newest = image.newest();
    let title = match newest {
        Some(newest) => format!("{} {}", image.key, newest.version),
        None => image.key.to_string(),
    };
    let versions = image
        .first_published()
        .map(|place| place.versions.as_slice());
    ImageView {
        title,
        name: image.key.name.to_string(),
        variant: image.key.variant.as_ref().map(ToString::to_string),
        version: newest.map(|one| one.version.clone()),
        description: image.description.clone(),
        states: words::states(image, now),
        problems: image.problems.clone(),
        summary: summary(image, newest, now),
        lineage: lineage::view(&image.lineage),
        finding_summary: finding_summary(image),
        findings: words::findings_of(image, report),
        tests: tests(image),
        test_summary: words::tests(image),
        layer_chart: charts::layers(layers),
        layers: content.map(layer_views).unwrap_or_default(),
        version_chart: charts::versions(versions.unwrap_or_default()),
        places: image.places.iter().map(|one| place(one, now)).collect(),
        changes: content.and_then(changes),
        packages: content.and_then(packages),
        gaps: content.map(gaps).unwrap_or_default(),
        labels: content
            .map(|one| one.labels.clone().into_iter().collect())
            .unwrap_or_default(),
    }
}

fn finding_summary(image: &SiteImage) -> String {
    let (errors, warnings) = (
        words::number_of(image, Severity::Error),
        words::number_of(image, Severity::Warning),
    );
    format!("{}, {}", count(errors, "error"), count(warnings, "warning"))
}

fn summary(image: &SiteImage, newest: Option<&SiteVersion>, now: i64) -> SummaryView {
    let mut lifecycle = newest
        .map(|one| words::lifecycle(one, now))
        .unwrap_or_default();
    if let Some(end) = &image.end_of_life
        && lifecycle.iter().all(|badge| badge.key != "eol")
    {
        let state = newest.and_then(|one| one.lifecycle.as_ref());
        lifecycle.push(words::only_declared(words::end_of_life(end, now), state));
    }
    let content = image.content.as_ref();
    SummaryView {
        source: image.source.clone(),
        declared: image.declared.join(", "),
        reference: content.map(|one| one.reference.clone()),
        absent: words::absent(image, "not published"),
        digest: newest.map(|one| DigestView::from(&one.digest)),
        platforms: newest.map(words::platforms).unwrap_or_default(),
        platform: content.map(|one| one.platform.clone()),
        age: words::age(newest.and_then(|one| one.time.as_deref()), now),
        size: newest.map(|one| bytes(one.size)),
        base: image.base.name.clone(),
        base_digest: image.base.digest.as_ref().map(DigestView::from),
        freshness: words::freshness(&image.base.freshness),
        lifecycle,
    }
}

/// The tests with their results, or the declared tests if they were not run.
fn tests(image: &SiteImage) -> Vec<TestView> {
    let content = image.content.as_ref();
    let Some(results) = content.and_then(|one| one.results.as_ref()) else {
        let declared = image.tests.iter().map(|name| TestView {
            name: name.clone(),
            result: Badge::new("", Tone::Plain, "not run"),
            failures: Vec::new(),
        });
        return declared.collect();
    };
    let results = results.tests.iter().map(|test| TestView {
        name: test.name.clone(),
        result: match test.not_run {
            Some(_) => Badge::new("", Tone::Plain, "not run"),
            None if test.passed => Badge::new("", Tone::Good, "passed"),
            None => Badge::new("", Tone::Bad, "failed"),
        },
        failures: test.failures.iter().map(ToString::to_string).collect(),
    });
    results.collect()
}

fn layer_views(content: &SiteContent) -> Vec<LayerView> {
    let layers = content.layers.iter().map(|layer| LayerView {
        digest: DigestView::from(&layer.digest),
        size: bytes(layer.size),
        size_in_bytes: layer.size,
        owner: match charts::owner(layer.owner) {
            "own" => "image",
            other => other,
        },
        step: layer.step.clone().unwrap_or_default(),
    });
    layers.collect()
}

fn place(place: &SiteRepository, now: i64) -> SiteRepositoryView {
    let tag = |one: &SiteTag| TagView {
        tag: one.tag.to_string(),
        channel: one.channel.clone(),
    };
    let mut tags = BTreeMap::<&Digest, Vec<TagView>>::new();
    for one in &place.tags {
        tags.entry(&one.digest).or_default().push(tag(one));
    }
    let known: BTreeSet<&Digest> = place.versions.iter().map(|one| &one.digest).collect();
    let others = place.tags.iter().filter(|one| !known.contains(&one.digest));
    let others = others.map(|one| OtherTagView {
        tag: tag(one),
        digest: DigestView::from(&one.digest),
    });
    let versions = place.versions.iter().take(MOST_VERSIONS);
    let versions = versions.map(|one| VersionView {
        version: one.version.clone(),
        tags: tags.remove(&one.digest).unwrap_or_default(),
        digest: DigestView::from(&one.digest),
        platforms: words::platforms(one),
        age: words::age(one.time.as_deref(), now),
        size: bytes(one.size),
        size_in_bytes: one.size,
        lifecycle: words::lifecycle(one, now),
        is_lifecycle_read: one.lifecycle.is_some(),
    });
    SiteRepositoryView {
        repository: place.repository.to_string(),
        is_unread: place.is_unread,
        versions: versions.collect(),
        hidden: place.versions.len().saturating_sub(MOST_VERSIONS),
        others: others.collect(),
    }
}

fn changes(content: &SiteContent) -> Option<ChangesView> {
    let changes = content.changes.as_ref()?;
    let packages = &changes.packages;
    let entry = |one: &PackageEntry, is_added: bool| {
        let (version, none) = (one.version.clone(), String::new());
        let (tone, text) = if is_added {
            (Tone::Good, "added")
        } else {
            (Tone::Warn, "removed")
        };
        let (from, to) = if is_added {
            (none, version)
        } else {
            (version, none)
        };
        ChangeView {
            change: Badge::new("", tone, text),
            name: one.name.clone(),
            kind: one.kind.to_string(),
            from,
            to,
        }
    };
    let changed = |one: &PackageChange| ChangeView {
        change: Badge::new("", Tone::Plain, "changed"),
        name: one.name.clone(),
        kind: one.kind.to_string(),
        from: one.version.from.clone(),
        to: one.version.to.clone(),
    };
    let mut rows: Vec<ChangeView> = packages.changed.iter().map(changed).collect();
    rows.extend(packages.added.iter().map(|one| entry(one, true)));
    rows.extend(packages.removed.iter().map(|one| entry(one, false)));
    Some(ChangesView {
        from: changes.from.clone(),
        to: changes.to.clone(),
        growth: match changes.growth {
            0 => "the same size".to_owned(),
            change => growth(change),
        },
        summary: format!(
            "{} changed, {} added, {} removed",
            packages.changed.len(),
            packages.added.len(),
            packages.removed.len()
        ),
        rows,
    })
}

fn packages(content: &SiteContent) -> Option<Vec<PackageView>> {
    let packages = content.packages.as_ref()?.iter();
    let packages = packages.map(|package| PackageView {
        name: package.name.clone(),
        version: package.full_version(),
        kind: package.kind.to_string(),
        source: package
            .source
            .as_ref()
            .map(|one| one.name.clone())
            .unwrap_or_default(),
        license: package.license.clone().unwrap_or_default(),
    });
    Some(packages.collect())
}

fn gaps(content: &SiteContent) -> Vec<String> {
    let gaps = content.gaps.iter();
    gaps.map(|gap| format!("{}: {}", gap.path, gap.problem))
        .collect()
}
