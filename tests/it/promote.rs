//! `golden promote` and `golden prune`: copies by digest, and retention.

use crate::support::curl::curl;
use crate::support::publisher::fresh_name;
use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::services;
use crate::support::workspace::Golden;

const FOUR: [&str; 4] = ["1.2.3", "1.2", "1", "latest"];

fn promote(arguments: &[&str]) -> crate::support::workspace::Run {
    Golden::new().run(&[&["promote"], arguments].concat())
}

#[test]
fn within_a_registry_blobs_are_mounted() {
    let registry = FakeRegistry::start(Behaviour::default());
    let digest = registry.image("dev/app", "a", &FOUR);
    let (from, to) = (
        format!("{}/dev/app:1.2.3", registry.host()),
        format!("{}/prod/app", registry.host()),
    );
    let run = promote(&[&from, &to, "--tags"]).exit(0);
    assert_eq!(
        run.stdout,
        format!("{to}@{digest} (1.2.3, 1.2, 1, latest)\n")
    );
    assert_eq!(registry.tags("prod/app"), registry.tags("dev/app"));
    assert!(
        registry
            .requests()
            .iter()
            .all(|line| !line.starts_with("PATCH") && !line.contains("PUT /v2/prod/app/blobs"))
    );
}

#[test]
fn between_registries_the_content_stays_identical() {
    let (one, two) = (
        FakeRegistry::start(Behaviour::default()),
        FakeRegistry::start(Behaviour::default()),
    );
    let children = [one.image("app", "a", &[]), one.image("app", "b", &[])];
    let index = one.index("app", &[&children[0], &children[1]], &["1.2.3", "latest"]);
    let from = format!("{}/app:1.2.3", one.host());
    promote(&[&from, &format!("{}/app", two.host())]).exit(0);
    assert_eq!(
        two.tags("app").into_iter().collect::<Vec<_>>(),
        [("1.2.3".to_owned(), index)]
    );
    assert!(children.iter().all(|child| two.has("app", child)));
    promote(&[&from, &format!("{}/app:stable", two.host())]).exit(0);
    assert_eq!(two.tags("app").len(), 2);
}

#[test]
fn a_version_with_different_content_is_refused_before_the_upload() {
    let (one, two) = (
        FakeRegistry::start(Behaviour::default()),
        FakeRegistry::start(Behaviour::default()),
    );
    one.image("app", "a", &FOUR);
    two.image("app", "b", &["1.2.3"]);
    let run = promote(&[
        &format!("{}/app:1.2.3", one.host()),
        &format!("{}/app", two.host()),
        "--tags",
    ])
    .exit(4);
    assert!(run.stderr.contains("1.2.3"), "{}", run.stderr);
    assert!(
        two.requests().iter().all(|line| !line.starts_with('P')),
        "{:?}",
        two.requests()
    );
}

#[test]
fn promote_moves_tags_by_the_tag_rules() {
    let (one, two) = (
        FakeRegistry::start(Behaviour::default()),
        FakeRegistry::start(Behaviour::default()),
    );
    let ours = one.image("app", "a", &FOUR);
    let theirs = two.image("app", "b", &["2.0.0", "2.0", "2", "latest"]);
    let run = promote(&[
        &format!("{}/app:1.2.3", one.host()),
        &format!("{}/app", two.host()),
        "--tags",
    ])
    .exit(0);
    assert!(
        run.stderr
            .contains("kept latest: 2.0.0 is the higher version"),
        "{}",
        run.stderr
    );
    let tags = two.tags("app");
    assert_eq!((&tags["1"], &tags["latest"]), (&ours, &theirs));
}

#[test]
fn promote_copies_between_real_registries() {
    let registry = services::registry();
    let fake = FakeRegistry::start(Behaviour::default());
    fake.image("app", "real", &FOUR);
    let name = format!("{registry}/promote/t{}", std::process::id());
    promote(&[&format!("{}/app:1.2.3", fake.host()), &name, "--tags"]).exit(0);
    let run = promote(&[
        &format!("{name}:1.2.3"),
        &format!("{name}-copy"),
        "--format",
        "json",
    ])
    .exit(0);
    let output: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(output["blobs"]["mounted"], 2, "{}", run.stdout);
    Golden::new()
        .run(&["delete", &format!("{name}:1"), "--untag", "--yes"])
        .exit(0);
    let left = Golden::new()
        .run(&["delete", &format!("{name}:1.2"), "--all-tags", "--yes"])
        .exit(0);
    assert!(
        left.stdout.contains("(1.2, 1.2.3, latest)"),
        "{}",
        left.stdout
    );
}

/// The referrers of a digest in a registry, by the API or by the fallback tag; read with curl.
fn referrers(host: &str, repository: &str, digest: &str) -> Vec<String> {
    let mut answer = curl("GET", host, &format!("{repository}/referrers/{digest}"));
    if answer.status == 404 {
        answer = curl(
            "GET",
            host,
            &format!("{repository}/manifests/{}", digest.replace(':', "-")),
        );
    }
    if answer.status == 404 {
        return Vec::new();
    }
    let index = answer.json();
    let entries = index["manifests"].as_array().unwrap().iter();
    entries
        .map(|entry| entry["digest"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn signatures_are_copied_unless_the_option_forbids_it() {
    let source = FakeRegistry::start(Behaviour {
        referrers: true,
        ..Behaviour::default()
    });
    let image = source.image("app", "signed", &FOUR);
    let sbom = source.referrer("app", &image, "sbom");
    let signature = source.referrer("app", &image, "signature");
    let of_the_sbom = source.referrer("app", &sbom, "signature of the sbom");
    let cosign = source.image(
        "app",
        "cosign",
        &[&format!("{}.sig", image.replace(':', "-"))],
    );
    let modern = FakeRegistry::start(Behaviour {
        referrers: true,
        ..Behaviour::default()
    });
    // distribution 2.8 lacks the referrers API: the list is under a tag there, and is read from
    // that tag again.
    let real = services::registry();
    let name = fresh_name("signed");
    let copies = [
        (source.host(), "app"),
        (real.to_owned(), name.as_str()),
        (modern.host(), "copy"),
        (modern.host(), "again"),
    ];
    for pair in copies.windows(2) {
        let [(from, old), (to, new)] = pair else {
            unreachable!()
        };
        let (from, to_name) = (format!("{from}/{old}:1.2.3"), format!("{to}/{new}"));
        let plain = promote(&[&from, &format!("{to_name}-plain"), "--no-referrers"]).exit(0);
        assert!(!plain.stderr.contains("referrer"), "{}", plain.stderr);
        assert!(referrers(to, &format!("{new}-plain"), &image).is_empty());
        let run = promote(&[&from, &to_name, "--tags"]).exit(0);
        assert!(
            run.stderr.contains("4 referrers copied with it"),
            "{}",
            run.stderr
        );
        let mut found = referrers(to, new, &image);
        found.sort();
        let mut expected = vec![sbom.clone(), signature.clone()];
        expected.sort();
        assert_eq!(found, expected, "{to}/{new}");
        assert_eq!(
            referrers(to, new, &sbom),
            std::slice::from_ref(&of_the_sbom)
        );
        let kept = curl(
            "HEAD",
            to,
            &format!("{new}/manifests/{}.sig", image.replace(':', "-")),
        );
        assert_eq!(kept.header("docker-content-digest"), Some(cosign.as_str()));
        // The same command copies nothing again.
        promote(&[&from, &to_name, "--tags", "--referrers"]).exit(0);
        assert_eq!(referrers(to, new, &image).len(), 2);
    }
    let run = promote(&[
        &format!("{}/app:1.2.3", source.host()),
        &format!("{real}/{name}"),
        "--referrers",
        "--format",
        "json",
    ])
    .exit(0);
    let output: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(
        output["referrers"].as_array().unwrap().len(),
        4,
        "{}",
        run.stdout
    );
}

#[test]
fn prune_keeps_images_that_moving_tags_point_to() {
    let registry = FakeRegistry::start(Behaviour::default());
    registry.image("app", "a", &["1.0.0"]);
    registry.image("app", "b", &["1.1.0", "1.1"]);
    registry.image("app", "c", &["1.2.0", "1", "latest"]);
    let name = format!("{}/app", registry.host());
    let dry = Golden::new()
        .run(&["prune", &name, "--keep", "1", "--dry-run"])
        .exit(0);
    assert_eq!(
        dry.stdout,
        format!("would delete {name}:1.0.0: beyond --keep 1\n")
    );
    assert_eq!(registry.tags("app").len(), 6);
    Golden::new().run(&["prune", &name, "--keep", "1"]).exit(2);
    Golden::new().run(&["prune", &name]).exit(2);
    Golden::new()
        .run(&["prune", &name, "--keep", "1", "--yes"])
        .exit(0);
    assert!(!registry.tags("app").contains_key("1.0.0"));
    assert_eq!(registry.tags("app").len(), 5);
    let old = Golden::new()
        .run(&[
            "prune",
            &name,
            "--older-than",
            "30d",
            "--dry-run",
            "--format",
            "json",
        ])
        .exit(0);
    let output: serde_json::Value = serde_json::from_str(&old.stdout).unwrap();
    assert_eq!(
        output["repositories"][0]["versions"][0]["because"],
        "`1` points to it"
    );
}

#[test]
fn a_dry_run_of_promote_makes_the_same_decisions_and_writes_nothing() {
    let (one, two) = (
        FakeRegistry::start(Behaviour::default()),
        FakeRegistry::start(Behaviour::default()),
    );
    let digest = one.image("app", "a", &FOUR);
    let signature = one.referrer("app", &digest, "signature");
    one.fallback("app", &digest, &[&signature]);
    two.image("app", "b", &["2.0.0", "2.0", "2", "latest"]);
    let (from, to) = (
        format!("{}/app:1.2.3", one.host()),
        format!("{}/app", two.host()),
    );
    let arguments = [from.as_str(), &to, "--tags", "--referrers"];
    let dry = |more: &[&str]| promote(&[&arguments[..], &["--dry-run"], more].concat());
    let text = dry(&[]).exit(0);
    assert_eq!(
        text.stdout,
        format!("would copy {to}@{digest} (1.2.3, 1.2, 1)\n")
    );
    assert!(
        text.stderr.contains("0 to mount, 2 to copy"),
        "{}",
        text.stderr
    );
    assert!(
        text.stderr.contains("1 referrer to copy with it"),
        "{}",
        text.stderr
    );
    assert!(
        text.stderr
            .contains("kept latest: 2.0.0 is the higher version"),
        "{}",
        text.stderr
    );
    let json = |run: crate::support::workspace::Run| {
        let output: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        output
    };
    let planned = json(dry(&["--format", "json"]).exit(0));
    let writes = |line: &&String| !line.starts_with("GET") && !line.starts_with("HEAD");
    assert_eq!(two.requests().iter().find(writes), None);
    let done = json(promote(&[&arguments[..], &["--format", "json"]].concat()).exit(0));
    assert_eq!(
        (&planned["dry_run"], &done["dry_run"]),
        (&true.into(), &false.into())
    );
    for key in [
        "source",
        "destination",
        "digest",
        "tags",
        "blobs",
        "referrers",
    ] {
        assert_eq!(planned[key], done[key], "{key}");
    }

    // A dry run fails in the same cases as a run.
    two.image("app", "c", &["1.2.3"]);
    dry(&[]).exit(4);
    promote(&[&format!("{}/app:9.9.9", one.host()), &to, "--dry-run"]).exit(1);
}
