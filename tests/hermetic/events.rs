//! `--events FILE`: what happens, as lines of JSON.

use std::sync::Arc;

use serde_json::Value;

use crate::support::registry::{Behaviour, FakeRegistry, refuse};
use crate::support::server::Seen;
use crate::support::workspace::Golden;

/// The events in the file, without their times.
fn events(golden: &Golden, file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(golden.path().join(file)).unwrap();
    let event = |line: &str| {
        let mut event: Value = serde_json::from_str(line).unwrap();
        assert!(event["seconds"].as_f64().is_some(), "{line}");
        event.as_object_mut().unwrap().remove("seconds");
        event
    };
    text.lines().map(event).collect()
}

fn named<'e>(events: &'e [Value], name: &str) -> Vec<&'e Value> {
    events
        .iter()
        .filter(|event| event["event"] == name)
        .collect()
}

#[test]
fn a_run_writes_its_events_while_it_works() {
    let registry = FakeRegistry::start(Behaviour::default());
    let host = registry.host();
    let table = format!("[[registry]]\nname = \"t\"\nhost = \"{host}\"\n");
    let golden = Golden::new().workspace(&table);
    let spec = "[image]\nname = \"app\"\nversion = \"1.0.0\"\nbase = \"scratch\"\nplatforms = [\"linux/amd64\"]\n";
    golden.write("app/image.toml", spec);
    golden
        .run(&["build", "--push", "--events", "run.jsonl"])
        .exit(0);
    let written = events(&golden, "run.jsonl");
    assert_eq!(written[0]["event"], "run");
    assert_eq!(written[0]["schema"], 1);
    assert_eq!(written[0]["command"], "build");
    assert_eq!(
        *written.last().unwrap(),
        serde_json::json!({ "event": "ended", "exit": 0 })
    );
    assert_eq!(named(&written, "images")[0]["total"], 1);
    assert_eq!(named(&written, "started")[0]["image"], "app:1.0.0");
    let tag = named(&written, "step")
        .into_iter()
        .rfind(|event| event["step"] == "tag")
        .unwrap();
    assert_eq!(tag["repository"], format!("{host}/app"));
    let finished = named(&written, "finished");
    assert_eq!(
        (&finished[0]["text"], &finished[0]["ok"]),
        (&"published".into(), &true.into())
    );
    // A failed image has its reason.
    golden.write("app/image.toml", spec.replace("1.0.0", "1.0.1"));
    golden.write(
        "golden.toml",
        format!("{table}[[gate]]\nname = \"scan\"\ncommand = [\"false\"]\n"),
    );
    golden
        .run(&["build", "--push", "--events", "run.jsonl"])
        .exit(1);
    let written = events(&golden, "run.jsonl");
    let failed = named(&written, "finished")[0];
    assert_eq!(failed["ok"], false);
    let because = failed["because"].as_str().unwrap();
    assert!(because.contains("scan"), "{because}");
    assert_eq!(written.last().unwrap()["exit"], 1);
    // The next run replaces the file.
    golden.run(&["ls", "nowhere:1/x", "--events", "run.jsonl"]);
    let written = events(&golden, "run.jsonl");
    assert_eq!(named(&written, "run")[0]["command"], "ls");
    let ended = written.last().unwrap();
    assert_ne!(ended["exit"], 0);
    assert!(
        ended["error"].as_str().unwrap().contains("nowhere"),
        "{ended}"
    );
}

#[test]
fn findings_are_events_with_their_places() {
    let registry = FakeRegistry::start(Behaviour::default());
    let host = registry.host();
    let table = format!("[[registry]]\nname = \"t\"\nhost = \"{host}\"\n");
    let golden = Golden::new().workspace(&table);
    let spec = "[image]\nname = \"app\"\nversion = \"1.0.0\"\nbase = \"scratch\"\nplatforms = [\"linux/amd64\"]\n";
    let wrong = format!("{spec}[env]\nAPI_TOKEN = \"hunter2hunter2\"\n[lables]\n");
    golden.write("app/image.toml", wrong);
    let written = |args: &[&str], exit: i32| {
        let run = golden.run(&[args, &["--events", "run.jsonl"]].concat());
        let shown = run.exit(exit);
        let written = events(&golden, "run.jsonl");
        let mut found = named(&written, "finding").into_iter().cloned();
        let finding = found.next().unwrap();
        assert_eq!(found.next(), None);
        (finding, shown)
    };
    let expected = serde_json::json!({
        "event": "finding",
        "rule": "spec.unknown-key",
        "severity": "error",
        "file": "app/image.toml",
        "line": 8,
        "column": 2,
        "message": "unknown key `lables`",
        "help": "did you mean `labels`?",
        "image": null,
    });
    for command in ["check", "plan", "build", "bump --stale patch"] {
        let args: Vec<&str> = command.split(' ').collect();
        assert_eq!(written(&args, 2).0, expected, "{command}");
    }
    // The fields are those of `check --format json`.
    let (mut finding, run) = written(&["check", "--format", "json"], 2);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    finding.as_object_mut().unwrap().remove("event");
    assert_eq!(finding, document["diagnostics"][0]);
    // A warning, and a secret that no finding shows.
    golden.write(
        "app/image.toml",
        format!("{spec}[env]\nTOKEN = \"hunter2hunter2\"\n"),
    );
    let rules =
        "[policy.env]\ndeny_secrets = true\n[policy.severity]\n\"env.deny_secrets\" = \"warn\"\n";
    golden.write("golden.toml", format!("{table}{rules}"));
    let (finding, run) = written(&["plan"], 0);
    assert_eq!(
        (&finding["severity"], &finding["line"]),
        (&"warning".into(), &7.into())
    );
    assert!(!finding.to_string().contains("hunter2"), "{finding}");
    assert!(run.stderr.contains("1 warning"), "{}", run.stderr);
    // A built image has no place.
    golden.write(
        "app/image.toml",
        format!("{spec}[[files]]\ncontent = \"hello\"\ntarget = \"/a\"\n"),
    );
    golden.write(
        "golden.toml",
        format!("{table}[policy.size]\nunpacked = 1\n"),
    );
    let (finding, _) = written(&["build", "--push"], 3);
    assert_eq!(finding["rule"], "size.unpacked");
    assert_eq!(
        (&finding["image"], &finding["file"]),
        (&"app:1.0.0".into(), &Value::Null)
    );
    // An audited image.
    golden.write("golden.toml", &table);
    golden.run(&["build", "--push"]).exit(0);
    golden.write(
        "golden.toml",
        format!("{table}[policy]\nrequired_labels = [\"owner\"]\n"),
    );
    let reference = format!("{host}/app:1.0.0");
    let (finding, _) = written(&["audit", &reference], 3);
    assert_eq!(finding["rule"], "required_labels");
}

#[test]
fn with_atomic_an_image_ends_after_its_tags_moved() {
    let registry = FakeRegistry::start(Behaviour {
        instead: Some(Arc::new(|seen: &Seen| {
            let is_tag = seen.method == "PUT" && seen.path.ends_with("/two/manifests/latest");
            is_tag.then(|| refuse(403, "DENIED", "no moving tags"))
        })),
        ..Behaviour::default()
    });
    let host = registry.host();
    let table = format!("[[registry]]\nname = \"t\"\nhost = \"{host}\"\n");
    let golden = Golden::new().workspace(&table);
    for name in ["one", "two"] {
        golden.write(
            &format!("{name}/image.toml"),
            format!("[image]\nname = \"{name}\"\nversion = \"1.0.0\"\nbase = \"scratch\"\nplatforms = [\"linux/amd64\"]\n"),
        );
    }
    let run = golden
        .run(&["build", "--push", "--atomic", "--events", "run.jsonl"])
        .exit(1);
    assert!(
        run.stdout.contains("one:1.0.0  published"),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("two:1.0.0  failed"), "{}", run.stdout);
    let written = events(&golden, "run.jsonl");
    assert_eq!(named(&written, "waiting").len(), 2);
    let of_one = written.iter().filter(|event| event["image"] == "one:1.0.0");
    let of_one: Vec<&Value> = of_one.collect();
    let [.., tag, end] = of_one.as_slice() else {
        panic!("{of_one:?}");
    };
    assert_eq!(
        (&tag["step"], &end["event"]),
        (&"tag".into(), &"finished".into())
    );
    assert_eq!(
        (&end["text"], &end["ok"]),
        (&"published".into(), &true.into())
    );
    let finished = named(&written, "finished");
    assert_eq!(finished.len(), 2, "{finished:?}");
    assert_eq!(
        (&finished[1]["image"], &finished[1]["ok"]),
        (&"two:1.0.0".into(), &false.into())
    );
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_before_the_run() {
    let golden = Golden::new().workspace("");
    let run = golden.run(&["check", "--events", "none/run.jsonl"]);
    let run = run.exit(2);
    assert!(run.stderr.contains("none does not exist"), "{}", run.stderr);
}
