//! The pages of synthetic images.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::app::audit::AuditedImage;
use crate::app::graph::{Edge, Graph, GraphNode, NodeKind, NodeState};
use crate::app::site::data::{
    Freshness, ImageKey, SiteBase, SiteChanges, SiteContent, SiteImage, SiteLayer, SiteLineage,
    SiteRepository, SiteTag, SiteVersion,
};
use crate::checks::{Mismatch, TestVerdict, TestedPlatform};
use crate::diagnostic::{Diagnostic, Diagnostics, SourceMap};
use crate::inventory::{
    ImageContent, ImageDifference, ImageFiles, Inventory, LayerOwner, Package, PackageKind,
};
use crate::oci::ImageConfig;
use crate::oci::lifecycle::{Announcement, LifecycleState, LifecycleStatus, seconds};
use crate::reference::Digest;
use crate::workspace::fs;

const HOSTILE: &str = "</title><script>alert(\"1\")</script><img src=x onerror='x'>\u{202e}";

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn package(name: &str, version: &str) -> Package {
    Package::new(PackageKind::Deb, name.to_owned(), version.to_owned())
}

fn changes(from: &[(&str, &str)], to: &[(&str, &str)]) -> SiteChanges {
    let content = |packages: &[(&str, &str)]| ImageContent {
        config: ImageConfig::default(),
        files: ImageFiles::default(),
        inventory: Inventory {
            packages: packages.iter().map(|one| package(one.0, one.1)).collect(),
            ..Inventory::default()
        },
        size: 0,
    };
    let difference = ImageDifference::between(&content(from), &content(to));
    SiteChanges {
        from: "1.0.0".to_owned(),
        to: "1.1.0".to_owned(),
        packages: difference.packages,
        growth: 1_500_000,
    }
}

fn version(name: &str, version: &str, size: u64) -> SiteVersion {
    SiteVersion {
        version: version.to_owned(),
        digest: digest(&format!("{name}{version}")),
        manifests: Vec::new(),
        platforms: vec!["linux/amd64".to_owned(), "linux/arm64".to_owned()],
        size,
        time: Some(format!("2026-0{}-01T00:00:00Z", 1 + version.len() % 8)),
        lifecycle: Some(LifecycleState::default()),
        declared: None,
    }
}

/// The lifecycle of a revoked version.
fn revoked(reason: &str, replacement: &str) -> LifecycleState {
    let revoked = Announcement {
        reason: Some(reason.to_owned()),
        replacement: Some(replacement.to_owned()),
        ..Announcement::new(LifecycleStatus::Revoked)
    };
    LifecycleState {
        revoked: Some(revoked),
        end_of_life: None,
    }
}

/// An image without findings, tests and content.
fn image(name: &str, versions: Vec<SiteVersion>) -> SiteImage {
    let tags = versions.iter().map(|one| SiteTag {
        tag: one.version.parse().unwrap(),
        digest: one.digest.clone(),
        channel: None,
    });
    let place = SiteRepository {
        repository: format!("registry.example.com/golden/{name}")
            .parse()
            .unwrap(),
        tags: tags.collect(),
        versions,
        is_unread: false,
    };
    let node = |name: &str, kind, state| GraphNode {
        name: name.to_owned(),
        kind,
        state,
    };
    let base = "registry.example.com/debian:12.7";
    let edge = |from, to| Edge { from, to };
    SiteImage {
        key: ImageKey {
            name: name.parse().unwrap(),
            variant: None,
        },
        description: None,
        source: format!("{name}/image.toml"),
        declared: vec!["1.1.0".to_owned()],
        end_of_life: None,
        base: SiteBase {
            name: base.to_owned(),
            digest: Some(digest("base")),
            freshness: Freshness::Current,
        },
        lineage: SiteLineage {
            graph: Graph {
                nodes: vec![
                    node(base, NodeKind::Base, NodeState::Stale),
                    node(
                        &format!("{name}:1.1.0"),
                        NodeKind::Image,
                        NodeState::Current,
                    ),
                    node("team/web:2.0.0", NodeKind::Image, NodeState::Unknown),
                ],
                edges: vec![edge(0, 1), edge(1, 2)],
            },
            own: 1,
            pages: vec![None, None, Some("team~web.html".to_owned())],
            hidden: 3,
        },
        found: Diagnostics::new(),
        tests: Vec::new(),
        places: vec![place],
        content: None,
        problems: Vec::new(),
    }
}

fn content() -> SiteContent {
    let layer = |text: &str, size, owner| SiteLayer {
        digest: digest(text),
        size,
        owner,
        step: Some(format!("step {text}")),
    };
    let verdict = |name: &str, failures: Vec<Mismatch>| TestVerdict {
        name: name.to_owned(),
        subject: name.to_owned(),
        passed: failures.is_empty(),
        failures,
        not_run: None,
        output: None,
        duration: Duration::ZERO,
        location: crate::resolve::image::SpecLocation {
            file: "app/image.toml".into(),
            span: 0..0,
        },
    };
    let failure = Mismatch {
        assertion: "mode".to_owned(),
        expected: "0644".to_owned(),
        found: "0600".to_owned(),
    };
    SiteContent {
        reference: "registry.example.com/golden/team/app:1.1.0".to_owned(),
        platform: "linux/amd64".to_owned(),
        labels: BTreeMap::from([("owner".to_owned(), "team".to_owned())]),
        layers: vec![
            layer("os", 30_000_000, LayerOwner::Base),
            layer("files", 1_500_000, LayerOwner::Image),
        ],
        audited: None,
        packages: Some(vec![package("openssl", "3.0.2"), package("zlib1g", "1.3")]),
        gaps: Vec::new(),
        changes: Some(changes(
            &[("openssl", "3.0.1"), ("gone", "1")],
            &[("openssl", "3.0.2"), ("zlib1g", "1.3")],
        )),
        results: Some(TestedPlatform {
            platform: "linux/amd64".parse().unwrap(),
            tests: vec![
                verdict("file /etc/motd", vec![failure]),
                verdict("label owner", Vec::new()),
            ],
        }),
    }
}

/// The result of an audit with a finding for each platform.
fn audited_image(findings: &[Diagnostic]) -> AuditedImage {
    let mut found = Diagnostics::new();
    for finding in findings {
        found.push(finding.clone());
    }
    AuditedImage {
        reference: "registry.example.com/golden/team/app:1.1.0"
            .parse()
            .unwrap(),
        digest: digest("team/app1.1.0"),
        tags: Vec::new(),
        platforms: Vec::new(),
        compliant: false,
        errors: findings.len(),
        warnings: 0,
        rules: Vec::new(),
        found,
    }
}

/// An image with everything that a page can show, and one that cannot be read.
fn fleet() -> SiteReport {
    let mut versions = vec![
        version("team/app", "1.1.0", 31_500_000),
        version("team/app", "1.0.0", 30_000_000),
    ];
    versions[1].lifecycle = Some(revoked("CVE-2026-1234", "1.1.0"));
    let mut app = image("team/app", versions);
    app.description = Some("The application".to_owned());
    app.tests = vec!["file /etc/motd".to_owned(), "label owner".to_owned()];
    app.content = Some(content());
    app.base.freshness = Freshness::Newer("12.8".to_owned());
    let finding = Diagnostic::error("required_labels", "the label `vendor` is missing");
    let finding = finding.of_policy().help("add vendor under [labels]");
    app.found.push(finding.clone());
    let audited = &mut app.content.as_mut().unwrap().audited;
    *audited = Some(audited_image(&[finding.clone(), finding]));
    app.end_of_life = Some(Announcement {
        from: Some("2027-06-30".to_owned()),
        ..Announcement::new(LifecycleStatus::EndOfLife)
    });
    let mut lost = image("team/lost", Vec::new());
    lost.places[0].is_unread = true;
    lost.problems = vec!["registry.example.com/golden/team/lost cannot be read: 503".to_owned()];
    SiteReport {
        now: seconds("2026-12-01T12:34:56Z").unwrap(),
        registries: vec!["registry.example.com/golden".to_owned()],
        images: vec![app, lost],
        found: Diagnostics::new(),
        sources: SourceMap::default(),
    }
}

/// A page without its style and script, with numbered digests.
fn body(page: &str) -> String {
    let body = page.split_once("<body>").unwrap().1;
    let body = body.split_once("<script>").unwrap().0;
    body.to_owned()
}

#[test]
fn the_pages_show_every_fact_in_words() {
    let files = site(&fleet()).unwrap();
    let names: Vec<&String> = files.keys().collect();
    assert_eq!(
        names,
        [
            "images/team~app.html",
            "images/team~lost.html",
            "index.html"
        ]
    );
    insta::assert_snapshot!("index", body(&files["index.html"]));
    insta::assert_snapshot!("image", body(&files["images/team~app.html"]));
    insta::assert_snapshot!("unread_image", body(&files["images/team~lost.html"]));
    assert_eq!(files, site(&fleet()).unwrap());
}

#[test]
fn a_page_allows_its_own_style_and_script_only_and_refers_to_no_other_host() {
    let files = site(&fleet()).unwrap();
    for (name, page) in &files {
        let part = |tag: &str| {
            let start = page.split_once(&format!("<{tag}>")).unwrap().1;
            start.split_once(&format!("</{tag}>")).unwrap().0
        };
        for (tag, directive) in [("style", "style-src"), ("script", "script-src")] {
            let hash = STANDARD.encode(Sha256::digest(part(tag).as_bytes()));
            let source = format!("{directive} 'sha256-{hash}'");
            assert!(page.contains(&source), "{name}: {source}");
            assert_eq!(page.matches(&format!("<{tag}")).count(), 1, "{name}");
        }
        assert!(page.contains("default-src 'none'"), "{name}");
        assert!(page.lines().nth(1) == Some(MARK), "{name}");
        for word in ["http:", "https:", "src=\"", "url(", "style=\"", "@import"] {
            assert!(!page.contains(word), "{name} has {word}");
        }
    }
}

#[test]
fn a_fact_that_was_not_read_is_not_shown_as_absent() {
    let mut report = fleet();
    let row = |page: &str, version: &str| {
        let header = format!("<th scope=\"row\">{version}</th>");
        let row = page.rsplit_once(&header).unwrap().1;
        let row = row.split_once("</tr>").unwrap().0;
        let lifecycle = row.rsplit_once("<td class=\"lifecycle\">");
        lifecycle.unwrap().1.to_owned()
    };
    let app = &mut report.images[0];
    app.end_of_life = None;
    let versions = &mut app.places[0].versions;
    versions[1].lifecycle = None;
    versions[0].declared = revoked("bad", "1.2.0").revoked;
    let files = site(&report).unwrap();
    let page = &files["images/team~app.html"];
    assert_eq!(row(page, "1.0.0"), "not read</td>");
    let declared = "revoked: bad; use 1.2.0 instead (declared in the spec, not announced)";
    assert!(row(page, "1.1.0").contains(declared), "{page}");
    let lost = &files["images/team~lost.html"];
    assert!(
        lost.contains("<dt>Newest version</dt><dd>not read</dd>"),
        "{lost}"
    );
    let index = &files["index.html"];
    assert!(index.contains(">revoked</span>"), "{index}");
    assert!(index.contains("<td>not read</td>"), "{index}");
}

#[test]
fn one_image_or_version_is_not_several() {
    let mut report = fleet();
    report.images.truncate(1);
    let app = &mut report.images[0];
    app.lineage.hidden = 1;
    let versions = (0..101).map(|minor| version("team/app", &format!("1.{minor}.0"), 1));
    app.places[0].versions = versions.collect();
    app.content.as_mut().unwrap().layers.truncate(1);
    let files = site(&report).unwrap();
    let page = &files["images/team~app.html"];
    for words in [
        "1 more image is built on it.",
        "1 older version is not shown.",
        "in 1 layer:",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(files["index.html"].contains("1 image in "));
}

/// Every text that a registry or a spec decides, in one image.
fn hostile() -> SiteReport {
    let mut report = fleet();
    let image = &mut report.images[0];
    image.description = Some(HOSTILE.to_owned());
    image.problems = vec![HOSTILE.to_owned()];
    image.base.name = HOSTILE.to_owned();
    image.base.freshness = Freshness::Unknown(HOSTILE.to_owned());
    image.tests = vec![HOSTILE.to_owned()];
    image
        .found
        .push(Diagnostic::warning("x", HOSTILE).help(HOSTILE));
    for node in &mut image.lineage.graph.nodes {
        node.name = HOSTILE.to_owned();
    }
    let version = &mut image.places[0].versions[0];
    version.platforms = vec![HOSTILE.to_owned()];
    version.time = Some(HOSTILE.to_owned());
    version.lifecycle = Some(revoked(HOSTILE, HOSTILE));
    let content = image.content.as_mut().unwrap();
    content.labels = BTreeMap::from([(HOSTILE.to_owned(), HOSTILE.to_owned())]);
    content.layers[0].step = Some(HOSTILE.to_owned());
    content.packages = Some(vec![Package {
        license: Some(HOSTILE.to_owned()),
        ..package(HOSTILE, HOSTILE)
    }]);
    content.changes = Some(changes(&[], &[(HOSTILE, HOSTILE)]));
    let results = content.results.as_mut().unwrap();
    results.tests[0].failures[0].found = HOSTILE.to_owned();
    report.found.push(Diagnostic::warning("x", HOSTILE));
    report
}

#[test]
fn text_of_a_registry_stays_text() {
    for (name, page) in site(&hostile()).unwrap() {
        let body = body(&page);
        for markup in ["<script", "<img", "onerror='", "\u{202e}"] {
            assert!(!body.contains(markup), "{name} has {markup}");
        }
        assert_eq!(page.matches("<script").count(), 1, "{name}");
    }
    let page = &site(&hostile()).unwrap()["images/team~app.html"];
    assert!(page.contains("&lt;script&gt;alert(") && page.contains("\\u{202e}"));
}

/// The processor time of this thread, which does not depend on other processes.
#[cfg(target_os = "linux")]
fn processor_time() -> Duration {
    let times = fs::read(Path::new("/proc/thread-self/schedstat")).unwrap();
    let times = String::from_utf8(times).unwrap();
    let nanoseconds = times.split(' ').next().unwrap();
    Duration::from_nanos(nanoseconds.parse().unwrap())
}

#[cfg(target_os = "linux")]
#[test]
fn a_thousand_images_are_a_small_index_and_are_rendered_quickly() {
    let mut report = fleet();
    let example = report.images[0].clone();
    report.images = (0..1000)
        .map(|number| {
            let name = format!("team-{}/some-longer-name-{number}", number % 10);
            let mut one = image(&name, example.places[0].versions.clone());
            one.base = example.base.clone();
            one.found = example.found.clone();
            one.content.clone_from(&example.content);
            one.tests.clone_from(&example.tests);
            let content = one.content.as_mut().unwrap();
            let packages = (0..20).map(|n| package(&format!("package-{n}"), "1.2.3-4"));
            content.packages = Some(packages.collect());
            one
        })
        .collect();
    let start = processor_time();
    let files = site(&report).unwrap();
    let time = processor_time().saturating_sub(start);
    assert_eq!(files.len(), 1001);
    let index = files["index.html"].len();
    assert!(index < 2_000_000, "{index} bytes");
    assert!(time < Duration::from_secs(5), "{time:?}");
}

#[test]
fn an_empty_workspace_has_a_page() {
    let files = site(&SiteReport::default()).unwrap();
    assert!(files["index.html"].contains("The workspace has no images."));
}
