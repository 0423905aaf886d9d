//! A mistake has one message, with its place or its name, and the next thing to type.

use std::sync::Arc;

use crate::support::registry::{Behaviour, FakeRegistry, refuse};
use crate::support::server::Seen;
use crate::support::workspace::{Golden, Run};

const FINE: &str = "[image]\nname = \"app\"\nversion = \"1.0.0\"\nbase = \"scratch\"\n";

fn workspace() -> Golden {
    Golden::new()
        .workspace("")
        .image("app", FINE)
        .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
}

/// The errors of a run. Its directory is shown as DIR.
#[track_caller]
fn failure(golden: &Golden, args: &[&str], code: i32) -> String {
    let run: Run = golden.run(args).exit(code);
    run.stderr.replace(golden.path().to_str().unwrap(), "DIR")
}

#[test]
fn a_mistake_on_the_command_line_names_the_next_step() {
    let golden = workspace().file("file", "");
    for (args, code, expected) in [
        (
            &["tags", "web"][..],
            2,
            "`golden ls web` lists the tags of an image",
        ),
        (
            &["build", "--to", "oci:file"],
            2,
            "error: DIR/file is not a directory",
        ),
        (
            &["build", "--load"],
            1,
            "only --load needs it: without --load, no engine is needed",
        ),
        (
            &["inspect", "127.0.0.1:1/app@sha256:fbb94c2f80ad"],
            2,
            "`sha256:fbb94c2f80ad` is only the start of a digest",
        ),
        (&["prune", "app"], 2, "golden prune --keep 5 --dry-run"),
        (&["outdated", "nosuch"], 2, "`golden graph` shows the bases"),
    ] {
        let shown = failure(&golden, args, code);
        assert!(shown.contains(expected), "{args:?}: {shown}");
        assert!(
            !shown.contains("--engine embedded") && !shown.contains(": built"),
            "{args:?}: {shown}"
        );
    }
    for text in ["v1.2", "1.2"] {
        let shown = failure(&golden, &["tags", text], 2);
        assert!(!shown.contains("golden ls"), "{shown}");
    }
    let golden = workspace().env("GOLDEN_REGISTRY", "mian");
    let shown = failure(&golden, &["plan", "--registry", "mian"], 2);
    assert!(shown.contains("error: `mian` is"), "{shown}");
    let shown = failure(&golden, &["plan"], 2);
    assert!(shown.contains("GOLDEN_REGISTRY: `mian` is"), "{shown}");
    let run = Golden::new().run(&["init", "new dir/ü"]).exit(0);
    let expected = "next: golden -w 'new dir/ü' check";
    assert!(run.stderr.contains(expected), "{}", run.stderr);
    let golden = workspace().file(".golden", "");
    let shown = failure(&golden, &["build", "--engine", "embedded"], 1);
    let expected = ".golden: it is a file, and golden needs a directory of this name";
    assert!(shown.contains(expected), "{shown}");
}

#[test]
fn a_mistake_in_a_spec_is_reported_once() {
    for (from, to, expected) in [
        (
            "\"scratch\"",
            "{image = 3}",
            &["expected a string", "error: 1 error in 1 file"][..],
        ),
        (
            "base",
            "name = \"other\"\nbase",
            &[
                "the key `name` is written twice",
                "app/image.toml:4:1",
                "first written here",
            ],
        ),
        ("\"app\"", "\"App\"", &["write `app`"]),
    ] {
        let golden = workspace().image("app", &FINE.replace(from, to));
        let shown = failure(&golden, &["check"], 2);
        for part in expected {
            assert_eq!(shown.matches(part).count(), 1, "{shown}");
        }
    }
    let text = format!("{FINE}[tags]\nwithdrawn = [\"1.0\", \"latest\"]\n");
    let shown = failure(&workspace().image("app", &text), &["check"], 2);
    for part in [
        "version `1.0` has only two numbers; a version is MAJOR.MINOR.PATCH, such as 1.0.0",
        "version `latest` is not semver: a version is MAJOR.MINOR.PATCH, such as 1.2.3",
    ] {
        assert_eq!(shown.matches(part).count(), 1, "{shown}");
    }
}

fn with_registry(registry: &FakeRegistry) -> Golden {
    let host = registry.host();
    let table = format!("[[registry]]\nname = \"t\"\nhost = \"{host}\"\n");
    workspace().workspace(&table)
}

#[test]
fn a_rollback_says_what_changes() {
    let registry = FakeRegistry::start(Behaviour::default());
    registry.image("app", "a", &["1.0.0", "1.0", "1", "latest"]);
    registry.image("app", "b", &["0.9.0", "0.9"]);
    let golden = with_registry(&registry);
    let host = registry.host();
    let shown = failure(&golden, &["rollback", "app", "--to", "9.9.9"], 1);
    insta::assert_snapshot!(shown.replace(&host, "HOST"), @r"
    error: app has no version 9.9.9
      help: HOST/app has 1.0.0, 0.9.0
      help: `golden ls app` lists the tags
    ");
    let args = ["rollback", "app", "--to", "1.0.0", "--yes"];
    let run = golden.run(&args).exit(0);
    let expected = "nothing to do: the moving tags of app already point to 1.0.0\n";
    assert_eq!(run.stderr, expected);
    let args = ["rollback", "app", "--to", "0.9.0"];
    let shown = failure(&golden, &args, 2);
    assert_eq!(
        shown,
        "error: stdin or stderr is not a terminal, so golden cannot ask whether to move 1 tag of app \
         to 0.9.0 and edit app/image.toml\n  help: add --yes to confirm\n"
    );
}

#[test]
fn a_rollback_to_a_version_of_no_image_names_a_few_of_them() {
    let registry = FakeRegistry::start(Behaviour::default());
    let mut golden = with_registry(&registry);
    registry.image("app", "a", &["1.0.0"]);
    for name in ["apa", "apb", "apc", "apd"] {
        registry.image(name, name, &["1.0.0"]);
        golden = golden.image(name, &FINE.replace("app", name));
    }
    let shown = failure(&golden, &["rollback", "ap*", "--to", "9.9.9"], 1);
    insta::assert_snapshot!(shown.replace(&registry.host(), "HOST"), @r"
    error: ap* has no version 9.9.9
      help: HOST/apa has 1.0.0
      help: HOST/apb has 1.0.0
      help: HOST/apc has 1.0.0
      help: 2 more repositories do not have it either
      help: `golden ls apa` lists the tags
    ");
}

/// A rollback that was stopped after it moved the tags is completed by the next one.
#[test]
fn a_rollback_with_nothing_to_move_completes_the_receipt() {
    let registry = FakeRegistry::start(Behaviour::default());
    let golden = with_registry(&registry);
    golden.run(&["build", "--push"]).exit(0);
    golden.write("app/image.toml", FINE.replace("1.0.0", "1.1.0"));
    golden.run(&["build", "--push"]).exit(0);
    let rollback = ["rollback", "app", "--to", "1.0.0", "--yes"];
    golden.run(&rollback).exit(0);
    let receipts = golden.path().join(".golden/receipts/t/app/1.0.0.json");
    let text = std::fs::read_to_string(&receipts).unwrap();
    let mut receipt: serde_json::Value = serde_json::from_str(&text).unwrap();
    receipt["tags"]
        .as_array_mut()
        .unwrap()
        .retain(|one| one["tag"] != "latest");
    std::fs::write(&receipts, receipt.to_string()).unwrap();
    let before = registry.requests().len();
    let run = golden.run(&rollback[..4]).exit(0);
    assert!(
        run.stderr.contains("nothing to do: the moving tags of app"),
        "{}",
        run.stderr
    );
    let requests = registry.requests();
    assert!(
        requests[before..]
            .iter()
            .all(|line| !line.starts_with("PUT"))
    );
    let text = std::fs::read_to_string(&receipts).unwrap();
    let receipt: serde_json::Value = serde_json::from_str(&text).unwrap();
    let tags = receipt["tags"].as_array().unwrap();
    let latest = tags.iter().find(|one| one["tag"] == "latest").unwrap();
    assert_eq!(latest["digest"], receipt["digest"]);

    let text = format!("{FINE}[tags]\nfan_out = [\"full\"]\n");
    golden.write("app/image.toml", text);
    let run = golden.run(&rollback[..4]).exit(0);
    assert_eq!(run.stderr, "nothing to do: app has no moving tags\n");
}

#[test]
fn a_missing_tag_is_reported_once_by_verify() {
    let registry = FakeRegistry::start(Behaviour::default());
    registry.image("app", "a", &["0.9.0"]);
    let run = with_registry(&registry).run(&["verify", "app"]).exit(5);
    let all = format!("{}{}", run.stdout, run.stderr);
    let name = format!("missing  {}/app:1.0.0", registry.host());
    assert!(run.stdout.contains(&name), "{all}");
    assert_eq!(all.matches("app:1.0.0").count(), 1, "{all}");
}

#[test]
fn a_failure_of_a_registry_names_the_next_step() {
    for (status, code, body, expected) in [
        (403, "DENIED", "no", "no login was used"),
        (403, "DENIED", "no", "run `docker login"),
        (500, "UNKNOWN", "oops", "ask its administrator"),
    ] {
        let registry = FakeRegistry::start(Behaviour {
            instead: Some(Arc::new(move |_: &Seen| Some(refuse(status, code, body)))),
            ..Behaviour::default()
        });
        let name = format!("{}/app:1", registry.host());
        let shown = failure(&Golden::new(), &["inspect", &name], 1);
        assert!(shown.contains(expected), "{shown}");
    }
}
