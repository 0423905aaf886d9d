//! `golden promote` and `golden prune`: copies by digest, and retention.

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
    let (from, to) = (format!("{}/dev/app:1.2.3", registry.host()), format!("{}/prod/app", registry.host()));
    let run = promote(&[&from, &to, "--tags"]).exit(0);
    assert_eq!(run.stdout, format!("{to}@{digest} (1.2.3, 1.2, 1, latest)\n"));
    assert_eq!(registry.tags("prod/app"), registry.tags("dev/app"));
    assert!(
        registry
            .requests()
            .iter()
            .all(|line| !line.starts_with("PATCH") && !line.contains("PUT /v2/prod/app/blobs"))
    );
}

#[test]
fn between_registries_the_bytes_stay_the_same() {
    let (one, two) = (FakeRegistry::start(Behaviour::default()), FakeRegistry::start(Behaviour::default()));
    let children = [one.image("app", "a", &[]), one.image("app", "b", &[])];
    let index = one.index("app", &[&children[0], &children[1]], &["1.2.3", "latest"]);
    let from = format!("{}/app:1.2.3", one.host());
    promote(&[&from, &format!("{}/app", two.host())]).exit(0);
    assert_eq!(two.tags("app").into_iter().collect::<Vec<_>>(), [("1.2.3".to_owned(), index)]);
    assert!(children.iter().all(|child| two.has("app", child)));
    promote(&[&from, &format!("{}/app:stable", two.host())]).exit(0);
    assert_eq!(two.tags("app").len(), 2);
}

#[test]
fn a_version_with_other_content_is_refused_before_anything_is_sent() {
    let (one, two) = (FakeRegistry::start(Behaviour::default()), FakeRegistry::start(Behaviour::default()));
    one.image("app", "a", &FOUR);
    two.image("app", "b", &["1.2.3"]);
    let run =
        promote(&[&format!("{}/app:1.2.3", one.host()), &format!("{}/app", two.host()), "--tags"]).exit(4);
    assert!(run.stderr.contains("1.2.3"), "{}", run.stderr);
    assert!(two.requests().iter().all(|line| !line.starts_with('P')), "{:?}", two.requests());
}

#[test]
fn tags_move_by_the_rules() {
    let (one, two) = (FakeRegistry::start(Behaviour::default()), FakeRegistry::start(Behaviour::default()));
    let ours = one.image("app", "a", &FOUR);
    let theirs = two.image("app", "b", &["2.0.0", "2.0", "2", "latest"]);
    let run =
        promote(&[&format!("{}/app:1.2.3", one.host()), &format!("{}/app", two.host()), "--tags"]).exit(0);
    assert!(run.stderr.contains("kept latest: 2.0.0 is higher"), "{}", run.stderr);
    let tags = two.tags("app");
    assert_eq!((&tags["1"], &tags["latest"]), (&ours, &theirs));
}

#[test]
fn between_real_registries() {
    let registry = services::registry();
    let fake = FakeRegistry::start(Behaviour::default());
    fake.image("app", "real", &FOUR);
    let name = format!("{registry}/promote/t{}", std::process::id());
    promote(&[&format!("{}/app:1.2.3", fake.host()), &name, "--tags"]).exit(0);
    let run = promote(&[&format!("{name}:1.2.3"), &format!("{name}-copy"), "--format", "json"]).exit(0);
    let output: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(output["blobs"]["mounted"], 2, "{}", run.stdout);
    Golden::new().run(&["delete", &format!("{name}:1"), "--untag", "--yes"]).exit(0);
    let left = Golden::new().run(&["delete", &format!("{name}:1.2"), "--all-tags", "--yes"]).exit(0);
    assert!(left.stdout.contains("(1.2, 1.2.3, latest)"), "{}", left.stdout);
}

#[test]
fn prune_keeps_what_moving_tags_name() {
    let registry = FakeRegistry::start(Behaviour::default());
    registry.image("app", "a", &["1.0.0"]);
    registry.image("app", "b", &["1.1.0", "1.1"]);
    registry.image("app", "c", &["1.2.0", "1", "latest"]);
    let name = format!("{}/app", registry.host());
    let dry = Golden::new().run(&["prune", &name, "--keep", "1", "--dry-run"]).exit(0);
    assert_eq!(dry.stdout, format!("would delete {name}:1.0.0: 1 stable versions are higher\n"));
    assert_eq!(registry.tags("app").len(), 6);
    Golden::new().run(&["prune", &name, "--keep", "1"]).exit(2);
    Golden::new().run(&["prune", &name]).exit(2);
    Golden::new().run(&["prune", &name, "--keep", "1", "--yes"]).exit(0);
    assert!(!registry.tags("app").contains_key("1.0.0"));
    assert_eq!(registry.tags("app").len(), 5);
    let old =
        Golden::new().run(&["prune", &name, "--older-than", "30d", "--dry-run", "--format", "json"]).exit(0);
    let output: serde_json::Value = serde_json::from_str(&old.stdout).unwrap();
    assert_eq!(output["repositories"][0]["versions"][0]["because"], "1 names the same digest");
}
