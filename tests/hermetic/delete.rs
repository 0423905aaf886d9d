//! `golden delete` deletes only named content and verifies the deletion.

use std::sync::Arc;

use crate::support::registry::{Behaviour, FakeRegistry, refuse};
use crate::support::workspace::Golden;

const FOUR: [&str; 4] = ["1.2.3", "1.2", "1", "latest"];

fn reference(registry: &FakeRegistry, name: &str) -> String {
    format!("{}/{name}", registry.host())
}

#[test]
fn a_digest_with_other_tags_is_refused_with_a_list_of_them() {
    let registry = FakeRegistry::start(Behaviour::default());
    registry.image("team/app", "a", &FOUR);
    let run = Golden::new()
        .run(&["delete", &reference(&registry, "team/app:1.2.3"), "--yes"])
        .exit(4);
    assert!(run.stderr.contains("with 1, 1.2, latest"), "{}", run.stderr);
    assert!(
        run.stderr.contains("--all-tags") && run.stderr.contains("--untag"),
        "{}",
        run.stderr
    );
    assert_eq!(registry.tags("team/app").len(), 4);
    assert!(
        registry
            .requests()
            .iter()
            .all(|line| !line.starts_with("DELETE"))
    );
}

#[test]
fn the_loss_of_moving_tags_is_shown() {
    let registry = FakeRegistry::start(Behaviour::default());
    registry.image(
        "team/app",
        "a",
        &["1.1.0", "1.1", "1", "latest", "1.1.0-alpine", "alpine"],
    );
    registry.image("team/app", "b", &["1.0.0"]);
    let golden = Golden::new();
    let name = reference(&registry, "team/app:1.1.0");
    let run = golden.run(&["delete", &name, "--all-tags"]).exit(2);
    let expected = "cannot ask whether to delete 1 digest with 6 tags, including the moving tags 1, 1.1, alpine, latest\n  help: add --yes to confirm";
    assert!(run.stderr.contains(expected), "{}", run.stderr);
    let run = golden
        .run(&["delete", &name, "--all-tags", "--yes"])
        .exit(0);
    let expected = "moving tags were deleted too: 1, 1.1, alpine, latest; to point 1, latest to an earlier version: golden rollback IMAGE --to VERSION";
    assert!(run.stderr.contains(expected), "{}", run.stderr);
    let name = reference(&registry, "team/app:1.0.0");
    let run = golden.run(&["delete", &name, "--yes"]).exit(0);
    assert!(!run.stderr.contains("moving"), "{}", run.stderr);
    assert!(
        run.stderr.contains("`golden serve DIR --gc`"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_missing_tag_is_reported_with_those_that_exist() {
    let registry = FakeRegistry::start(Behaviour::default());
    registry.image("team/app", "a", &["1.1.0"]);
    let name = reference(&registry, "team/app:1.1.9");
    let copy = reference(&registry, "copy/app:1.1.9");
    for args in [&["delete", &name, "--yes"][..], &["promote", &name, &copy]] {
        let run = Golden::new().run(args).exit(1);
        let expected = "has no tag `1.1.9`; it has: 1.1.0";
        assert!(run.stderr.contains(expected), "{}", run.stderr);
        assert!(run.stderr.contains("did you mean"), "{}", run.stderr);
    }
}

#[test]
fn all_tags_deletes_the_digest() {
    let registry = FakeRegistry::start(Behaviour::default());
    let digest = registry.image("team/app", "a", &FOUR);
    let other = registry.image("team/app", "b", &["2.0.0"]);
    let run = Golden::new()
        .run(&[
            "delete",
            &reference(&registry, "team/app:1.2.3"),
            "--all-tags",
            "--yes",
        ])
        .exit(0);
    assert_eq!(
        run.stdout,
        format!(
            "deleted {}/team/app@{digest} (1, 1.2, 1.2.3, latest)\n",
            registry.host()
        )
    );
    assert!(!registry.has("team/app", &digest) && registry.has("team/app", &other));
    assert_eq!(
        registry.tags("team/app").into_keys().collect::<Vec<_>>(),
        ["2.0.0"]
    );
}

#[test]
fn naming_every_tag_deletes_the_digest_like_all_tags() {
    let registry = FakeRegistry::start(Behaviour::default());
    registry.image("app", "a", &["1", "2"]);
    let names = [reference(&registry, "app:1"), reference(&registry, "app:2")];
    Golden::new()
        .run(&["delete", &names[0], &names[1], "--yes"])
        .exit(0);
    assert!(registry.tags("app").is_empty());
}

#[test]
fn without_a_terminal_a_deletion_needs_yes() {
    let registry = FakeRegistry::start(Behaviour::default());
    registry.image("app", "a", &["1"]);
    Golden::new()
        .run(&["delete", &reference(&registry, "app:1")])
        .exit(2);
    assert_eq!(registry.tags("app").len(), 1);
}

#[test]
fn untag_removes_only_one_tag() {
    for deletes_tags in [true, false] {
        let registry = FakeRegistry::start(Behaviour {
            deletes_tags,
            ..Behaviour::default()
        });
        let digest = registry.image("app", "a", &FOUR);
        let run = Golden::new()
            .run(&[
                "delete",
                &reference(&registry, "app:latest"),
                "--untag",
                "--yes",
            ])
            .exit(0);
        assert_eq!(
            run.stdout,
            format!("removed {}/app:latest; {digest} stays\n", registry.host())
        );
        assert_eq!(
            registry.tags("app").into_keys().collect::<Vec<_>>(),
            ["1", "1.2", "1.2.3"]
        );
        assert!(registry.has("app", &digest));
    }
}

#[test]
fn untag_changes_nothing_if_deletion_is_disabled() {
    let registry = FakeRegistry::start(Behaviour {
        no_deletion: true,
        ..Behaviour::default()
    });
    registry.image("app", "a", &FOUR);
    for flag in ["--untag", "--all-tags"] {
        let run = Golden::new()
            .run(&["delete", &reference(&registry, "app:latest"), flag, "--yes"])
            .exit(1);
        assert!(
            run.stderr.contains("storage.delete.enabled"),
            "{}",
            run.stderr
        );
    }
    assert_eq!(registry.tags("app").len(), 4);
    assert!(
        registry
            .requests()
            .iter()
            .all(|line| !line.starts_with("PUT"))
    );
}

#[test]
fn a_tag_is_restored_if_the_second_step_fails() {
    let unknown =
        golden::reference::Digest::of(b"golden asks whether deletion is enabled").to_string();
    let instead = move |seen: &crate::support::server::Seen| {
        let second = seen.method == "DELETE"
            && seen.path.contains("sha256:")
            && !seen.path.contains(&unknown);
        second.then(|| refuse(403, "DENIED", "not you"))
    };
    let registry = FakeRegistry::start(Behaviour {
        instead: Some(Arc::new(instead)),
        ..Behaviour::default()
    });
    let digest = registry.image("app", "a", &FOUR);
    let run = Golden::new()
        .run(&[
            "delete",
            &reference(&registry, "app:latest"),
            "--untag",
            "--yes",
        ])
        .exit(1);
    assert!(
        run.stderr.contains("it points to its digest again"),
        "{}",
        run.stderr
    );
    assert_eq!(registry.tags("app")["latest"], digest);
}

#[test]
fn a_deletion_that_the_registry_only_acknowledges_is_an_error() {
    let instead = |seen: &crate::support::server::Seen| {
        (seen.method == "DELETE").then(|| crate::support::server::Answer::new(202, ""))
    };
    let registry = FakeRegistry::start(Behaviour {
        instead: Some(Arc::new(instead)),
        ..Behaviour::default()
    });
    registry.image("app", "a", &["1"]);
    let golden = Golden::new().env("GOLDEN_REGISTRY_SETTLE", "2");
    let run = golden
        .run(&["delete", &reference(&registry, "app:1"), "--yes"])
        .exit(1);
    assert!(
        run.stderr
            .contains("still exists 2 s after the registry accepted its deletion"),
        "{}",
        run.stderr
    );
}

#[test]
fn an_index_is_deleted_with_the_images_that_no_other_index_needs() {
    let registry = FakeRegistry::start(Behaviour::default());
    let (a, b, c) = (
        registry.image("app", "a", &[]),
        registry.image("app", "b", &[]),
        registry.image("app", "c", &["c"]),
    );
    registry.index("app", &[&a, &b, &c], &["1"]);
    registry.index("app", &[&b], &["2"]);
    let part = Golden::new()
        .run(&["delete", &format!("{}/app@{b}", registry.host()), "--yes"])
        .exit(4);
    assert!(
        part.stderr.contains("is part of the index tagged 1, 2"),
        "{}",
        part.stderr
    );
    let run = Golden::new()
        .run(&[
            "delete",
            &reference(&registry, "app:1"),
            "--yes",
            "--format",
            "json",
        ])
        .exit(0);
    let output: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(output["deleted"][0]["children"], serde_json::json!([a]));
    assert!(!registry.has("app", &a) && registry.has("app", &b) && registry.has("app", &c));
}

#[test]
fn a_missing_tag_or_digest_is_an_error() {
    let registry = FakeRegistry::start(Behaviour::default());
    registry.image("app", "a", &["1"]);
    let run = Golden::new()
        .run(&["delete", &reference(&registry, "app:9"), "--yes"])
        .exit(1);
    assert!(
        run.stderr.contains("app on ") && run.stderr.contains("has no tag `9`; it has: 1"),
        "{}",
        run.stderr
    );
    Golden::new()
        .run(&["delete", "localhost:1/Upper/case:1", "--yes"])
        .exit(2);
}

#[test]
fn delete_refuses_a_repository_without_a_tag() {
    let registry = FakeRegistry::start(Behaviour::default());
    registry.image("team/app", "a", &FOUR);
    let name = reference(&registry, "team/app");
    for flags in [
        &["--yes"][..],
        &["--yes", "--all-tags"],
        &["--yes", "--untag"],
        &["--dry-run"],
    ] {
        let run = Golden::new()
            .run(&[&["delete", name.as_str()], flags].concat())
            .exit(2);
        assert!(
            run.stderr
                .contains("is a repository; specify a tag or a digest"),
            "{}",
            run.stderr
        );
        assert!(
            run.stderr
                .contains(&format!("golden delete {name} --repository")),
            "{}",
            run.stderr
        );
    }
    let image = format!("{name}:1");
    let run = Golden::new()
        .run(&["delete", &image, "--repository", "--yes"])
        .exit(2);
    assert!(
        run.stderr
            .contains("is an image; --repository deletes repositories"),
        "{}",
        run.stderr
    );
    assert!(registry.requests().is_empty(), "{:?}", registry.requests());
}

#[test]
fn the_repository_option_deletes_all_its_content_after_a_list() {
    let registry = FakeRegistry::start(Behaviour::default());
    let (a, b) = (
        registry.image("team/app", "a", &FOUR),
        registry.image("team/app", "b", &[]),
    );
    let index = registry.index("team/app", &[&b], &["2.0.0"]);
    let other = registry.image("team/other", "c", &["1"]);
    let name = reference(&registry, "team/app");
    let dry = Golden::new()
        .run(&["delete", &name, "--repository", "--dry-run"])
        .exit(0);
    let mut lines: Vec<&str> = dry.stdout.lines().collect();
    lines.sort_unstable();
    let mut expected = [
        format!("would delete {name}@{a} (1, 1.2, 1.2.3, latest)"),
        format!("would delete {name}@{index} (2.0.0) with 1 image of the index"),
    ];
    expected.sort();
    assert_eq!(lines, expected);
    Golden::new()
        .run(&["delete", &name, "--repository"])
        .exit(2);
    assert_eq!(registry.tags("team/app").len(), 5);
    let run = Golden::new()
        .run(&["delete", &name, "--repository", "--yes"])
        .exit(0);
    assert!(
        run.stderr
            .contains(&format!("to delete: {name}@{a} (1, 1.2, 1.2.3, latest)")),
        "{}",
        run.stderr
    );
    assert!(registry.tags("team/app").is_empty());
    assert!(
        [a, b, index]
            .iter()
            .all(|digest| !registry.has("team/app", digest))
    );
    assert!(registry.has("team/other", &other));
    Golden::new()
        .run(&["delete", &name, "--repository", "--yes"])
        .exit(0);
    let run = Golden::new()
        .run(&[
            "delete",
            &reference(&registry, "nope"),
            "--repository",
            "--yes",
        ])
        .exit(1);
    assert!(run.stderr.contains("/nope not found"), "{}", run.stderr);
}

/// `--all-tags` uses the named tag, not `latest`, which a reference without a tag would mean.
#[test]
fn all_tags_deletes_only_the_tags_of_one_digest() {
    let registry = FakeRegistry::start(Behaviour::default());
    registry.image("app", "a", &["1.0.0", "1.0", "latest"]);
    let newer = registry.image("app", "b", &["1.1.0", "1.1", "1"]);
    Golden::new()
        .run(&[
            "delete",
            &reference(&registry, "app:1"),
            "--all-tags",
            "--yes",
        ])
        .exit(0);
    assert!(!registry.has("app", &newer));
    assert_eq!(
        registry.tags("app").into_keys().collect::<Vec<_>>(),
        ["1.0", "1.0.0", "latest"]
    );
}
