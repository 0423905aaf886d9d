//! A synthetic fleet with every state that a page can show. It is the same in each run.

use std::collections::BTreeMap;
use std::time::Duration;

use golden::app::graph::{Edge, Graph, GraphNode, NodeKind, NodeState};
use golden::app::site::SiteReport;
use golden::app::site::data::{
    Freshness, ImageKey, SiteBase, SiteChanges, SiteContent, SiteImage, SiteLayer, SiteLineage,
    SiteRepository, SiteTag, SiteVersion,
};
use golden::checks::{Mismatch, TestVerdict, TestedPlatform};
use golden::diagnostic::{Diagnostic, Diagnostics};
use golden::inventory::{
    ImageContent, ImageDifference, ImageFiles, Inventory, LayerOwner, Package, PackageKind,
    SourcePackage,
};
use golden::oci::ImageConfig;
use golden::oci::lifecycle::{Announcement, LifecycleState, LifecycleStatus, seconds};
use golden::reference::Digest;
use golden::resolve::image::SpecLocation;

/// The registry of the fleet.
pub(crate) const REGISTRY: &str = "registry.example.com/golden";
/// The image whose page shows everything.
pub(crate) const RICH: &str = "runtime/java";
/// The time of the report.
pub(crate) const NOW: &str = "2026-11-20T09:30:00Z";

/// Name, variant, base, newest version, size in MB, days since its publication.
type Row = (
    &'static str,
    Option<&'static str>,
    &'static str,
    &'static str,
    u64,
    i64,
);

const ROWS: [Row; 12] = [
    (
        "base/alpine",
        None,
        "docker.io/library/alpine:3.22",
        "3.22.4",
        4,
        9,
    ),
    (
        "base/debian",
        None,
        "docker.io/library/debian:12.7",
        "12.4.1",
        31,
        41,
    ),
    (
        "base/debian",
        Some("slim"),
        "docker.io/library/debian:12.7-slim",
        "12.4.1",
        22,
        41,
    ),
    ("base/static", None, "scratch", "1.9.0", 1, 128),
    ("runtime/dotnet", None, "base/debian", "9.0.6", 93, 17),
    (RICH, None, "base/debian", "21.4.0", 188, 6),
    ("runtime/node", None, "base/debian", "22.11.2", 74, 6),
    (
        "runtime/node",
        Some("alpine"),
        "base/alpine",
        "22.11.2",
        58,
        6,
    ),
    ("runtime/python", None, "base/debian", "3.12.7", 52, 230),
    ("team/payments", None, RICH, "4.18.0", 214, 1),
    ("team/search", None, RICH, "2.0.3", 241, 3),
    ("team/web", None, "runtime/node", "8.1.0", 96, 0),
];

/// The packages of the rich image: name, version before, version now, licence.
const PACKAGES: [(&str, &str, &str, &str); 10] = [
    (
        "ca-certificates",
        "20230311",
        "20230311",
        "GPL-2.0-or-later",
    ),
    (
        "libc6",
        "2.36-9+deb12u8",
        "2.36-9+deb12u9",
        "LGPL-2.1-or-later",
    ),
    ("libexpat1", "2.5.0-1", "2.5.0-1+deb12u1", "MIT"),
    (
        "libssl3",
        "3.0.14-1~deb12u2",
        "3.0.15-1~deb12u1",
        "Apache-2.0",
    ),
    (
        "openssl",
        "3.0.14-1~deb12u2",
        "3.0.15-1~deb12u1",
        "Apache-2.0",
    ),
    ("p11-kit", "0.24.1-2", "0.24.1-2", "BSD-3-Clause"),
    (
        "temurin-21-jre",
        "21.0.4+7-1",
        "21.0.5+11-1",
        "GPL-2.0-with-classpath-exception",
    ),
    (
        "tzdata",
        "2024a-0+deb12u1",
        "2024b-0+deb12u1",
        "public-domain",
    ),
    ("wget", "1.21.3-1", "", "GPL-3.0-or-later"),
    ("zstd", "", "1.5.4+dfsg2-5", "BSD-3-Clause"),
];

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn day(before: i64) -> String {
    let time = seconds(NOW).unwrap() - before * 86_400;
    golden::oci::rfc3339(time)
}

fn package(name: &str, version: &str, license: &str) -> Package {
    Package {
        license: Some(license.to_owned()),
        source: name.strip_prefix("lib").map(|source| SourcePackage {
            name: source.to_owned(),
            version: None,
        }),
        ..Package::new(PackageKind::Deb, name.to_owned(), version.to_owned())
    }
}

/// The packages of one version; `now` is false for the version before.
fn packages(now: bool, more: usize) -> Vec<Package> {
    let named = PACKAGES
        .iter()
        .filter_map(|(name, before, after, license)| {
            let version = if now { after } else { before };
            (!version.is_empty()).then(|| package(name, version, license))
        });
    let more = (0..more).map(|number| {
        let version = format!("{}.{}.{}", number % 9, number % 7, number % 5);
        package(&format!("libcomponent-{number:03}"), &version, "MIT")
    });
    let mut packages: Vec<Package> = named.chain(more).collect();
    packages.sort();
    packages
}

fn changes(from: &str, to: &str, more: usize) -> SiteChanges {
    let content = |now| ImageContent {
        config: ImageConfig::default(),
        files: ImageFiles::default(),
        inventory: Inventory {
            packages: packages(now, more),
            ..Inventory::default()
        },
        size: 0,
    };
    SiteChanges {
        from: from.to_owned(),
        to: to.to_owned(),
        packages: ImageDifference::between(&content(false), &content(true)).packages,
        growth: -2_310_000,
    }
}

fn announced(status: LifecycleStatus, from: Option<&str>, reason: Option<&str>) -> Announcement {
    Announcement {
        from: from.map(str::to_owned),
        reason: reason.map(str::to_owned),
        ..Announcement::new(status)
    }
}

/// The versions of an image, the highest first; each is published three weeks after the one before.
fn versions(name: &str, newest: &str, megabytes: u64, days: i64, number: u64) -> Vec<SiteVersion> {
    let mut parts: Vec<u64> = newest
        .split('.')
        .map(|part| part.parse().unwrap())
        .collect();
    let mut versions = Vec::new();
    for age in 0..number {
        let version = format!("{}.{}.{}", parts[0], parts[1], parts[2]);
        // The size grows, and falls where packages were removed.
        let size = megabytes * 1_000_000 * (100 - age) / 100 + (age * 7 % 5) * megabytes * 9_000;
        versions.push(SiteVersion {
            digest: digest(&format!("{name}{version}")),
            version,
            manifests: Vec::new(),
            platforms: vec!["linux/amd64".to_owned(), "linux/arm64".to_owned()],
            size,
            time: Some(day(days + i64::try_from(age).unwrap() * 21)),
            lifecycle: Some(LifecycleState::default()),
            declared: None,
        });
        match &mut parts[..] {
            [_, _, patch] if *patch > 0 => *patch -= 1,
            [_, minor, patch] if *minor > 0 => (*minor, *patch) = (*minor - 1, 3),
            [major, minor, patch] => (*major, *minor, *patch) = (*major - 1, 9, 3),
            _ => unreachable!("a version has three parts"),
        }
    }
    versions
}

/// The repository of an image, with moving tags on the newest version.
fn place(name: &str, variant: Option<&str>, versions: Vec<SiteVersion>) -> SiteRepository {
    let suffixed = |tag: &str| variant.map_or(tag.to_owned(), |variant| format!("{tag}-{variant}"));
    let mut tags = Vec::new();
    for (position, one) in versions.iter().enumerate() {
        let mut names = vec![suffixed(&one.version)];
        if position == 0 {
            let (minor, _) = one.version.rsplit_once('.').unwrap();
            let (major, _) = minor.split_once('.').unwrap();
            names.extend([suffixed(minor), suffixed(major)]);
            names.push(variant.unwrap_or("latest").to_owned());
        }
        tags.extend(names.iter().map(|tag| SiteTag {
            tag: tag.parse().unwrap(),
            digest: one.digest.clone(),
            channel: None,
        }));
    }
    SiteRepository {
        repository: format!("{REGISTRY}/{name}").parse().unwrap(),
        versions,
        tags,
        is_unread: false,
    }
}

fn key(name: &str, variant: Option<&str>) -> ImageKey {
    ImageKey {
        name: name.parse().unwrap(),
        variant: variant.map(|variant| variant.parse().unwrap()),
    }
}

/// The bases of an image, and the images that are built on it.
fn lineage(name: &str, base: &str, newest: &str) -> SiteLineage {
    let node = |name: String, kind, state| GraphNode { name, kind, state };
    let (mut nodes, mut pages, mut above) = (Vec::new(), Vec::new(), base);
    loop {
        let Some(row) = ROWS.iter().find(|row| row.0 == above) else {
            let state = if above.contains("debian") {
                NodeState::Stale
            } else {
                NodeState::Current
            };
            if above != "scratch" {
                nodes.insert(0, node(above.to_owned(), NodeKind::Base, state));
                pages.insert(0, None);
            }
            break;
        };
        let shown = format!("{above}:{}", row.3);
        nodes.insert(0, node(shown, NodeKind::Image, NodeState::Current));
        pages.insert(0, Some(key(above, None).page()));
        above = row.2;
    }
    let own = nodes.len();
    nodes.push(node(
        format!("{name}:{newest}"),
        NodeKind::Image,
        NodeState::Current,
    ));
    pages.push(Some(key(name, None).page()));
    for row in ROWS.iter().filter(|row| row.2 == name) {
        let shown = format!("{}:{}", row.0, row.3);
        let state = if row.0 == "team/search" {
            NodeState::Stale
        } else {
            NodeState::Current
        };
        nodes.push(node(shown, NodeKind::Image, state));
        pages.push(Some(key(row.0, row.1).page()));
    }
    let edges = (1..nodes.len()).map(|to| Edge {
        from: if to > own { own } else { to - 1 },
        to,
    });
    SiteLineage {
        graph: Graph {
            edges: edges.collect(),
            nodes,
        },
        own,
        pages,
        hidden: 0,
    }
}

fn image(row: &Row, number: u64) -> SiteImage {
    let (name, variant, base, newest, megabytes, days) = *row;
    let directory = variant.map_or(name.to_owned(), |variant| format!("{name}-{variant}"));
    let versions = versions(&directory, newest, megabytes, days, number);
    SiteImage {
        key: key(name, variant),
        description: None,
        source: format!("{directory}/image.toml"),
        declared: vec![newest.to_owned()],
        end_of_life: None,
        base: SiteBase {
            name: base.to_owned(),
            digest: (base != "scratch").then(|| digest(base)),
            freshness: if base == "scratch" {
                Freshness::Fixed
            } else {
                Freshness::Current
            },
        },
        lineage: lineage(name, base, newest),
        found: Diagnostics::new(),
        tests: vec!["file /etc/os-release".to_owned()],
        places: vec![place(name, variant, versions)],
        content: Some(content(&directory, newest, megabytes, 0)),
        problems: Vec::new(),
    }
}

fn content(name: &str, version: &str, megabytes: u64, more: usize) -> SiteContent {
    let bytes = megabytes * 1_000_000;
    let layer = |step: &str, size, owner| SiteLayer {
        digest: digest(&format!("{name}{step}")),
        size,
        owner,
        step: Some(step.to_owned()),
    };
    SiteContent {
        reference: format!("{REGISTRY}/{name}:{version}"),
        platform: "linux/amd64".to_owned(),
        labels: BTreeMap::from([
            ("org.opencontainers.image.title".to_owned(), name.to_owned()),
            (
                "org.opencontainers.image.version".to_owned(),
                version.to_owned(),
            ),
            ("owner".to_owned(), "platform@example.com".to_owned()),
        ]),
        layers: vec![
            layer(
                "debian.sh --arch 'amd64' out/ 'bookworm' '@1731974400'",
                bytes / 6,
                LayerOwner::Base,
            ),
            layer("golden: certificates", bytes / 400, LayerOwner::Base),
            layer(
                "golden: install temurin-21-jre, tzdata",
                bytes - bytes / 6 - bytes / 400 - bytes / 60,
                LayerOwner::Image,
            ),
            layer("golden: files", bytes / 60, LayerOwner::Image),
        ],
        audited: None,
        packages: Some(packages(true, more)),
        gaps: Vec::new(),
        changes: None,
        results: Some(TestedPlatform {
            platform: "linux/amd64".parse().unwrap(),
            tests: vec![verdict("file /etc/os-release", Vec::new())],
        }),
    }
}

fn verdict(name: &str, failures: Vec<Mismatch>) -> TestVerdict {
    TestVerdict {
        name: name.to_owned(),
        subject: name.to_owned(),
        passed: failures.is_empty(),
        failures,
        not_run: None,
        output: None,
        duration: Duration::ZERO,
        location: SpecLocation {
            file: "image.toml".into(),
            span: 0..0,
        },
    }
}

/// Adds everything that a page can show, with as many more packages.
fn enrich(image: &mut SiteImage, more: usize) {
    let newest = image.places[0].versions[0].version.clone();
    let before = image.places[0].versions[1].version.clone();
    let mut content = content(RICH, &newest, 188, more);
    content.changes = Some(changes(&before, &newest, more));
    let mode = Mismatch {
        assertion: "mode".to_owned(),
        expected: "0644".to_owned(),
        found: "0600".to_owned(),
    };
    content.results.as_mut().unwrap().tests = vec![
        verdict("package temurin-21-jre >= 21.0.5", Vec::new()),
        verdict("file /etc/ssl/certs/java/cacerts", vec![mode]),
        verdict("label owner", Vec::new()),
    ];
    image.tests = vec!["package".to_owned(), "file".to_owned(), "label".to_owned()];
    image.content = Some(content);
    image.description =
        Some("Java 21 for services, with the certificates of the company".to_owned());
    image.end_of_life = Some(announced(
        LifecycleStatus::EndOfLife,
        Some("2027-01-31"),
        None,
    ));
    let help = "add the digest with `golden update`, and commit golden.lock";
    let pinned = Diagnostic::error("base.require_digest", "the base base/debian has no digest");
    image.found.push(pinned.of_policy().help(help));
    let port = Diagnostic::warning("config.ports", "the port 80 is below 1024");
    image.found.push(port.of_policy());
    let place = &mut image.places[0];
    place.versions[2].lifecycle = Some(LifecycleState {
        revoked: Some(Announcement {
            replacement: Some(newest.clone()),
            ..announced(LifecycleStatus::Revoked, None, Some("CVE-2026-21932"))
        }),
        end_of_life: None,
    });
    for (tag, position, target) in [("stable", 0, "21"), ("lts", 3, "21.3")] {
        place.tags.push(SiteTag {
            tag: tag.parse().unwrap(),
            digest: place.versions[position].digest.clone(),
            channel: Some(target.to_owned()),
        });
    }
    place.tags.push(SiteTag {
        tag: "nightly".parse().unwrap(),
        digest: digest("nightly"),
        channel: None,
    });
}

/// The fleet: its rich image has 30 versions and `more` further packages.
pub(crate) fn fleet(more: usize) -> SiteReport {
    let count = |row: &Row| if row.0 == RICH { 30 } else { 4 };
    let mut images: Vec<SiteImage> = ROWS.iter().map(|row| image(row, count(row))).collect();
    for one in &mut images {
        match one.key.name.as_str() {
            RICH => enrich(one, more),
            "base/debian" => one.base.freshness = Freshness::Newer("12.8".to_owned()),
            "runtime/python" => {
                let eol = announced(LifecycleStatus::EndOfLife, Some("2026-10-31"), None);
                one.end_of_life = Some(eol);
            }
            "team/search" => {
                one.base.freshness = Freshness::Newer("21.4.0".to_owned());
                let port = Diagnostic::warning("config.ports", "the port 80 is below 1024");
                one.found.push(port.of_policy());
            }
            "team/payments" => {
                let revoked = announced(LifecycleStatus::Revoked, None, Some("wrong keys"));
                one.places[0].versions[0].lifecycle = Some(LifecycleState {
                    revoked: Some(revoked),
                    end_of_life: None,
                });
            }
            "team/web" => {
                one.places[0].versions.clear();
                one.places[0].tags.clear();
                one.content = None;
            }
            "base/static" => {
                one.places[0].versions.clear();
                one.places[0].is_unread = true;
                one.content = None;
                let problem = format!("{REGISTRY}/base/static cannot be read: 403 Forbidden");
                one.problems = vec![problem];
            }
            _ => {}
        }
    }
    SiteReport {
        now: seconds(NOW).unwrap(),
        registries: vec![REGISTRY.to_owned()],
        images,
        ..SiteReport::default()
    }
}

/// A fleet of many images, which are copies of those of [`fleet`].
pub(crate) fn large(number: usize) -> SiteReport {
    let mut report = fleet(20);
    let examples = std::mem::take(&mut report.images);
    report.images = (0..number)
        .map(|position| {
            let mut one = examples[position % examples.len()].clone();
            let name = format!("team-{:02}/some-longer-name-{position:04}", position % 17);
            one.key = key(&name, None);
            one
        })
        .collect();
    report
}
