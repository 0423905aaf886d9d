//! `golden delete` deletes only named content and verifies the deletion.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use golden::oci::media::OCI_MANIFEST;
use golden::reference::Digest;
use serde_json::{Value, json};

use crate::support::registry::{Behaviour, FakeRegistry, refuse};
use crate::support::server::{Answer, Seen};
use crate::support::workspace::{Golden, Run};

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
fn several_tags_of_a_digest_are_removed_together() {
    let registry = FakeRegistry::start(Behaviour::default());
    let digest = registry.image("app", "a", &FOUR);
    let names = ["latest", "1"].map(|tag| reference(&registry, &format!("app:{tag}")));
    Golden::new()
        .run(&["delete", &names[0], &names[1], "--untag", "--yes"])
        .exit(0);
    assert_eq!(
        registry.tags("app").into_keys().collect::<Vec<_>>(),
        ["1.2", "1.2.3"]
    );
    assert!(registry.has("app", &digest));
}

#[test]
fn a_tag_that_the_registry_removes_together_with_another_is_restored() {
    let is_lost = Arc::new(AtomicBool::new(false));
    let lost = is_lost.clone();
    let registry = FakeRegistry::start(Behaviour {
        deletes_tags: true,
        instead: Some(Arc::new(move |seen: &Seen| {
            match (seen.method.as_str(), seen.route()) {
                ("DELETE", "/v2/app/manifests/latest") => lost.store(true, Ordering::SeqCst),
                ("PUT", "/v2/app/manifests/1") => lost.store(false, Ordering::SeqCst),
                (_, "/v2/app/manifests/1") if lost.load(Ordering::SeqCst) => {
                    return Some(refuse(404, "MANIFEST_UNKNOWN", "manifest unknown"));
                }
                _ => {}
            }
            None
        })),
        ..Behaviour::default()
    });
    registry.image("app", "a", &FOUR);
    let name = reference(&registry, "app:latest");
    let run = Golden::new()
        .run(&["delete", &name, "--untag", "--yes"])
        .exit(1);
    let expected = "the registry also removed 1; they were restored";
    assert!(run.stderr.contains(expected), "{}", run.stderr);
    assert!(!is_lost.load(Ordering::SeqCst));
}

#[test]
fn removing_a_tag_of_an_index_deletes_nothing_else() {
    let registry = FakeRegistry::start(Behaviour::default());
    let child = registry.image("app", "a", &[]);
    let index = registry.index("app", &[&child], &["1.2.3", "latest"]);
    let signature = format!("{}.sig", index.replace(':', "-"));
    registry.image("app", "signature", &[&signature]);
    let manifests = registry.manifests("app");
    let name = reference(&registry, "app:latest");
    let run = Golden::new()
        .run(&["delete", &name, "--untag", "--yes", "--format", "json"])
        .exit(0);
    let output: Value = serde_json::from_str(&run.stdout).unwrap();
    let expected = json!([{
        "repository": reference(&registry, "app"),
        "digest": index,
        "tags": ["latest"],
        "children": [],
        "attached": [],
        "untagged": true,
    }]);
    assert_eq!(output["deleted"], expected);
    assert_eq!(registry.manifests("app"), manifests);
    assert_eq!(
        registry.tags("app").into_keys().collect::<Vec<_>>(),
        ["1.2.3".to_owned(), signature]
    );
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

/// True if the request deletes the stand-in by digest. The request that tests if deletion is enabled
/// is not counted.
fn is_second_step(seen: &Seen) -> bool {
    let probe = Digest::of(b"golden asks whether deletion is enabled").to_string();
    seen.method == "DELETE" && seen.path.contains("sha256:") && !seen.path.contains(&probe)
}

/// The tag stays on the stand-in if it cannot be restored: the second PUT of the tag fails.
#[test]
fn a_tag_that_cannot_be_restored_is_reported() {
    let puts = AtomicUsize::new(0);
    let instead = move |seen: &Seen| {
        let is_put = seen.method == "PUT" && seen.route() == "/v2/app/manifests/latest";
        let fails = is_second_step(seen) || is_put && puts.fetch_add(1, Ordering::SeqCst) > 0;
        fails.then(|| refuse(403, "DENIED", "not you"))
    };
    let registry = FakeRegistry::start(Behaviour {
        instead: Some(Arc::new(instead)),
        ..Behaviour::default()
    });
    registry.image("app", "a", &FOUR);
    let name = reference(&registry, "app:latest");
    let run = Golden::new()
        .run(&["delete", &name, "--untag", "--yes"])
        .exit(1);
    let expected = "it now points to an empty stand-in manifest and could not be restored";
    assert!(run.stderr.contains(expected), "{}", run.stderr);
}

#[test]
fn a_tag_is_restored_if_the_second_step_fails() {
    let instead = |seen: &Seen| is_second_step(seen).then(|| refuse(403, "DENIED", "not you"));
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
fn a_tag_is_restored_if_the_command_is_interrupted_between_the_steps() {
    let registry = FakeRegistry::start(Behaviour {
        instead: Some(Arc::new(|seen: &Seen| {
            is_second_step(seen).then_some(Answer::Stall)
        })),
        ..Behaviour::default()
    });
    let digest = registry.image("app", "a", &FOUR);
    let name = reference(&registry, "app:latest");
    let golden = Golden::new();
    let mut command = golden.command(&["delete", &name, "--untag", "--yes"]);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while !registry.server.seen().iter().any(is_second_step) {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_ne!(registry.tags("app")["latest"], digest);
    let signal = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(signal.unwrap().success());
    Run::of(child.wait_with_output().unwrap()).exit(130);
    assert_eq!(registry.tags("app")["latest"], digest);
}

#[test]
fn a_deletion_that_the_registry_only_acknowledges_is_an_error() {
    for is_tagged in [true, false] {
        let instead = |seen: &Seen| (seen.method == "DELETE").then(|| Answer::new(202, ""));
        let registry = FakeRegistry::start(Behaviour {
            instead: Some(Arc::new(instead)),
            ..Behaviour::default()
        });
        let tags: &[&str] = if is_tagged { &["1"] } else { &[] };
        let digest = registry.image("app", "a", tags);
        let name = if is_tagged {
            reference(&registry, "app:1")
        } else {
            reference(&registry, &format!("app@{digest}"))
        };
        let golden = Golden::new().env("GOLDEN_REGISTRY_SETTLE", "1");
        let run = golden.run(&["delete", &name, "--yes"]).exit(1);
        assert!(
            run.stderr
                .contains("still exists 1 s after the registry accepted its deletion"),
            "{}",
            run.stderr
        );
    }
}

/// distribution lists a tag whose digest was deleted; other registries serve it for a moment.
#[test]
fn a_tag_that_is_served_and_listed_after_its_digest_was_deleted_is_removed() {
    let [is_deleted, is_untagged, was_served] = [(); 3].map(|()| Arc::new(AtomicBool::new(false)));
    let (deleted, untagged) = (is_deleted.clone(), is_untagged.clone());
    let registry = FakeRegistry::start(Behaviour {
        instead: Some(Arc::new(move |seen: &Seen| {
            let is_gone = deleted.load(Ordering::SeqCst);
            match (seen.method.as_str(), seen.route()) {
                ("DELETE", "/v2/app/manifests/1") => {
                    untagged.store(true, Ordering::SeqCst);
                    return Some(Answer::new(202, ""));
                }
                ("DELETE", _) => deleted.store(true, Ordering::SeqCst),
                ("HEAD", "/v2/app/manifests/1")
                    if is_gone && !was_served.swap(true, Ordering::SeqCst) =>
                {
                    let digest = Digest::of(b"late");
                    return Some(
                        Answer::new(200, "")
                            .header("content-type", OCI_MANIFEST)
                            .header("docker-content-digest", digest),
                    );
                }
                ("GET", "/v2/app/tags/list") if is_gone && !untagged.load(Ordering::SeqCst) => {
                    let list = json!({ "name": "app", "tags": ["1"] }).to_string();
                    return Some(Answer::new(200, list).header("content-type", "application/json"));
                }
                _ => {}
            }
            None
        })),
        ..Behaviour::default()
    });
    registry.image("app", "a", &["1"]);
    let name = reference(&registry, "app:1");
    Golden::new().run(&["delete", &name, "--yes"]).exit(0);
    assert!(is_deleted.load(Ordering::SeqCst) && is_untagged.load(Ordering::SeqCst));
}

#[test]
fn an_image_of_an_index_that_does_not_exist_is_not_reported_as_deleted() {
    let registry = FakeRegistry::start(Behaviour::default());
    let image = registry.image("app", "a", &[]);
    let missing = Digest::of(b"never pushed").to_string();
    registry.index_for("app", &[("amd64", &image), ("arm64", &missing)], &["1"]);
    let name = reference(&registry, "app:1");
    let run = Golden::new()
        .run(&["delete", &name, "--yes", "--format", "json"])
        .exit(0);
    let output: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(output["deleted"][0]["children"], json!([image]));
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

/// Only an index references other manifests, and each index is read once.
#[test]
fn a_deletion_reads_each_index_of_the_repository_once() {
    let registry = FakeRegistry::start(Behaviour::default());
    let child = registry.image("team/app", "child", &[]);
    let index = registry.index("team/app", &[&child], &["2.0.0", "2.0", "2"]);
    let image = registry.image("team/app", "image", &["1.0.0"]);
    registry.image("team/app", "other", &["1.1.0"]);
    let name = reference(&registry, "team/app:1.1.0");
    Golden::new().run(&["delete", &name, "--yes"]).exit(0);
    let requests = registry.requests();
    let reads = |digest: &str| {
        let line = format!("GET /v2/team/app/manifests/{digest}");
        requests.iter().filter(|found| **found == line).count()
    };
    assert_eq!((reads(&index), reads(&image), reads(&child)), (1, 0, 0));
}
