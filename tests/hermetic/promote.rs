//! `golden promote` moves the tags of the destination by the rules of publishing.

use std::sync::{Arc, OnceLock, Weak};

use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::server::Seen;
use crate::support::workspace::Golden;

#[test]
fn a_moving_tag_that_is_copied_by_its_name_does_not_go_back_to_an_older_version() {
    let registry = FakeRegistry::start(Behaviour::default());
    let old = registry.image("dev/app", "a", &["1.2.3", "1.2", "1", "latest", "stable"]);
    let new = registry.image("app", "b", &["3.0.0", "3.0", "3", "latest", "stable"]);
    let host = registry.host();
    let promote = |tag: &str, to: &str| {
        Golden::new()
            .run(&[
                "promote",
                &format!("{host}/dev/app:{tag}"),
                &format!("{host}/{to}"),
            ])
            .exit(0)
            .stderr
    };
    let shown = promote("latest", "app");
    assert!(
        shown.contains("kept latest: 3.0.0 is the higher version"),
        "{shown}"
    );
    assert_eq!(registry.tags("app")["latest"], new);
    promote("1", "app");
    promote("stable", "app");
    let tags = registry.tags("app");
    assert_eq!((&tags["1"], &tags["stable"]), (&old, &old));
    assert!(!tags.contains_key("1.2.3"));
    promote("latest", "app:latest");
    assert_eq!(registry.tags("app")["latest"], old);
}

/// The version says what its moving tags are; the other tags of the source are not needed.
#[test]
fn a_version_is_promoted_without_a_list_of_the_tags_of_the_source() {
    let registry = FakeRegistry::start(Behaviour::default());
    let digest = registry.image("dev/app", "a", &["1.2.3", "1.2", "1", "latest"]);
    let host = registry.host();
    let (from, to) = (format!("{host}/dev/app:1.2.3"), format!("{host}/app"));
    Golden::new().run(&["promote", &from, &to]).exit(0);
    assert_eq!(registry.tags("app")["1.2.3"], digest);
    let requests = registry.requests();
    assert!(
        !requests
            .iter()
            .any(|line| line.contains("/v2/dev/app/tags/list")),
        "{requests:#?}"
    );
}

#[test]
fn every_version_of_a_promoted_digest_is_immutable() {
    for (content, code) in [("a", 0), ("other", 4)] {
        let registry = FakeRegistry::start(Behaviour::default());
        registry.image("dev/app", "a", &["1.2.3", "1.3.0"]);
        let there = registry.image("app", content, &["1.2.3"]);
        let host = registry.host();
        let (from, to) = (format!("{host}/dev/app:1.3.0"), format!("{host}/app"));
        let run = Golden::new()
            .run(&["promote", &from, &to, "--tags"])
            .exit(code);
        let tags = registry.tags("app");
        assert_eq!(tags["1.2.3"], there);
        assert_eq!(tags.contains_key("1.3.0"), code == 0);
        let refusal = "app:1.2.3: already points to other content";
        assert_eq!(run.stderr.contains(refusal), code != 0, "{}", run.stderr);
    }
}

#[test]
fn a_tag_that_another_publisher_moves_during_a_promotion_is_not_moved_again() {
    let registry: Arc<OnceLock<Weak<FakeRegistry>>> = Arc::default();
    let theirs: Arc<OnceLock<String>> = Arc::default();
    let (found, other) = (registry.clone(), theirs.clone());
    let started = Arc::new(FakeRegistry::start(Behaviour {
        instead: Some(Arc::new(move |seen: &Seen| {
            // The first verification of the tag.
            if seen.method == "GET" && seen.route() == "/v2/app/manifests/stable" {
                let digest = other.get().unwrap();
                found
                    .get()
                    .and_then(Weak::upgrade)
                    .unwrap()
                    .tag("app", "stable", digest);
            }
            None
        })),
        ..Behaviour::default()
    }));
    started.image("dev/app", "a", &["stable"]);
    theirs.set(started.image("app", "b", &[])).unwrap();
    registry.set(Arc::downgrade(&started)).unwrap();
    let host = started.host();
    let (from, to) = (format!("{host}/dev/app:stable"), format!("{host}/app"));
    let run = Golden::new()
        .env("GOLDEN_REGISTRY_SETTLE", "1")
        .run(&["promote", &from, &to])
        .exit(1);
    let expected = "another publisher moved it";
    assert!(run.stderr.contains(expected), "{}", run.stderr);
    assert_eq!(started.tags("app")["stable"], *theirs.get().unwrap());
    let puts = started.requests();
    let puts = puts
        .iter()
        .filter(|line| line.starts_with("PUT /v2/app/manifests/stable"));
    assert_eq!(puts.count(), 1);
}

#[test]
fn a_dry_run_counts_the_blobs_that_a_promotion_transfers() {
    let [registry, elsewhere] = [(); 2].map(|()| FakeRegistry::start(Behaviour::default()));
    registry.image("dev/app", "a", &["1.2.3"]);
    let source = format!("{}/dev/app:1.2.3", registry.host());
    let [beside, far] = [&registry, &elsewhere].map(|to| format!("{}/app", to.host()));
    let counts = |to: &str, more: &[&str]| {
        let run = Golden::new().run(&[&["promote", &source, to], more].concat());
        let run = run.exit(0);
        let line = run.stderr.lines().find(|line| line.contains("blobs"));
        line.unwrap_or_default().to_owned()
    };
    for (to, expected) in [
        (
            &beside,
            "0 blobs already present, 2 to mount, 0 to copy (0 B)",
        ),
        (
            &far,
            "0 blobs already present, 0 to mount, 2 to copy (264 B)",
        ),
    ] {
        assert_eq!(counts(to, &["--dry-run"]), expected);
        let done = expected
            .replace("to mount", "mounted")
            .replace("to copy", "copied");
        assert_eq!(counts(to, &[]), done);
        let present = "2 blobs already present, 0 to mount, 0 to copy (0 B)";
        assert_eq!(counts(to, &["--dry-run"]), present);
    }
}
