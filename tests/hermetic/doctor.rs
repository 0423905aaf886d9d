//! `golden doctor` reports what works, what does not, and what to do about it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::workspace::Golden;

/// A workspace with one registry, and an engine that does not exist.
fn workspace(host: &str) -> Golden {
    Golden::new()
        .workspace(&format!(
            "[[registry]]\nname = \"team\"\nhost = \"{host}\"\nnamespace = \"golden\"\n"
        ))
        .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
}

/// The only check of a subject.
#[track_caller]
fn check<'v>(document: &'v Value, subject: &str) -> &'v Value {
    let checks = document["checks"].as_array().unwrap();
    let mut found = checks.iter().filter(|check| check["subject"] == subject);
    let first = found.next().unwrap_or_else(|| panic!("{document:#}"));
    assert!(found.next().is_none(), "{document:#}");
    first
}

fn document(golden: &Golden, code: i32) -> Value {
    let run = golden.run(&["doctor", "--format", "json"]).exit(code);
    serde_json::from_str(&run.stdout).unwrap()
}

#[test]
fn a_registry_is_described_and_a_missing_engine_is_an_error() {
    let login = format!("Basic {}", STANDARD.encode("ann:s3cret~of-ann"));
    for (behaviour, deletion, referrers) in [
        (Behaviour::default(), "yes", "no"),
        (
            Behaviour {
                no_deletion: true,
                referrers: true,
                authorization: Some((login, "Basic realm=\"r\"".to_owned())),
                ..Behaviour::default()
            },
            "no",
            "yes",
        ),
    ] {
        let has_login = behaviour.authorization.is_some();
        let registry = FakeRegistry::start(behaviour);
        let mut golden = workspace(&registry.host());
        if has_login {
            golden = golden
                .env("GOLDEN_REGISTRY_USER", "ann")
                .env("GOLDEN_REGISTRY_PASSWORD", "s3cret~of-ann")
                .env("GOLDEN_REGISTRY_HOST", &registry.host());
        }
        let found = document(&golden, 1);
        let of_registry = check(&found, "registry");
        assert_eq!(of_registry["health"], "ok", "{found:#}");
        assert_eq!(of_registry["facts"]["deletion"], deletion, "{found:#}");
        assert_eq!(of_registry["facts"]["referrers"], referrers, "{found:#}");
        let user = has_login.then_some("ann");
        assert_eq!(of_registry["facts"]["user"].as_str(), user, "{found:#}");
        assert!(!found.to_string().contains("s3cret"), "{found:#}");
        let engine = check(&found, "engine");
        assert_eq!(engine["health"], "error", "{found:#}");
        assert!(!engine["help"].as_array().unwrap().is_empty(), "{found:#}");
        assert_eq!(found["errors"], 1, "{found:#}");
        let changes = registry
            .server
            .seen()
            .into_iter()
            .filter(|seen| !["GET", "HEAD", "DELETE"].contains(&seen.method.as_str()));
        assert_eq!(changes.count(), 0);
    }
}

#[test]
fn a_registry_that_does_not_answer_is_an_error_with_a_hint() {
    let found = document(&workspace("127.0.0.1:1"), 1);
    let of_registry = check(&found, "registry");
    assert_eq!(of_registry["health"], "error", "{found:#}");
    assert_eq!(of_registry["name"], "team (127.0.0.1:1)");
    let help = of_registry["help"].to_string();
    assert!(
        help.contains("check that the registry is running"),
        "{help}"
    );
}

#[test]
fn without_a_workspace_and_an_engine_there_are_only_warnings() {
    let golden = Golden::new().env("DOCKER_CONFIG", "/nowhere");
    let run = golden.run(&["doctor", "-w", "/nowhere"]);
    run.exit(2);
    let empty = tempfile::tempdir().unwrap();
    let mut command = golden.command(&["doctor"]);
    command.current_dir(empty.path()).env_remove("DOCKER_HOST");
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    // A machine may have an engine at the default socket.
    assert!(text.contains("engine    default"), "{text}");
    assert!(text.contains("no registry is configured"), "{text}");
    assert!(text.contains("help: add a [[registry]]"), "{text}");
    assert_eq!(output.status.code(), Some(0), "{text}");
}
