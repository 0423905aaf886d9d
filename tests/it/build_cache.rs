//! `[workspace] cache = "registry"`: an engine uses the results of another engine's steps, and the
//! tag of the cache is not a version.
//!
//! BuildKit looks for a base under two keys, of its manifest and of its layers. An engine that has
//! built on the base before finds it under one of them, stores only this one with the results, and
//! reads only results that were stored with it; plain `docker buildx` does the same. So the engines
//! of these tests must not know the base.

use serde_json::Value;

use crate::support::assembling::docker;
use crate::support::buildkit::Daemon;
use crate::support::built::{Built, client};
use crate::support::engines::Engine;
use crate::support::publisher::fresh_name;
use crate::support::services;
use crate::support::workspace::Golden;

fn golden_toml(cache: &str) -> String {
    let registry = services::registry();
    format!("[workspace]\n{cache}\n[[registry]]\nname = \"local\"\nhost = \"{registry}\"\n")
}

/// A base that no engine has built on.
fn unknown_base() -> String {
    let directory = tempfile::tempdir().unwrap();
    let name = fresh_name("unknown");
    let dockerfile = format!("FROM {}\nCOPY name /\n", services::base_busybox());
    for (file, text) in [("Dockerfile", &dockerfile), ("name", &name)] {
        #[expect(clippy::disallowed_methods, reason = "the test owns this file")]
        std::fs::write(directory.path().join(file), text).unwrap();
    }
    let reference = format!("{}/{name}:1", services::registry());
    let path = directory.path().to_str().unwrap();
    docker(&["build", "-q", "-t", &reference, path]);
    docker(&["push", "-q", &reference]);
    docker(&["image", "rm", &reference]);
    reference
}

fn image(name: &str, version: &str, base: &str, rest: &str) -> String {
    format!(
        "[image]\nname = \"{name}\"\nversion = \"{version}\"\nbase = \"{base}\"\n{rest}\n\
         [[run]]\nname = \"take a while\"\nscript = \"echo executed for {name}; head -c 24 /dev/urandom | sha256sum >/random\"\n"
    )
}

/// Engines before Docker 23 get an older form of the Dockerfile, so they share results only with one
/// another. The steps of the second engine of the last pair have no network, so they would fail.
#[test]
fn another_engine_executes_no_unchanged_step() {
    let (modern, containerd) = (services::docker_modern(), services::docker_containerd());
    for (first, second) in [
        (containerd, modern),
        (services::docker_host(), services::docker_second()),
    ] {
        let (name, base) = (fresh_name("cache"), unknown_base());
        let on = |host: &str, rest: &str| {
            Golden::new()
                .workspace(&golden_toml("cache = \"registry\""))
                .image("app", &image(&name, "1.2.3", &base, rest))
                .env("DOCKER_HOST", host)
        };
        let built = on(first, "").run(&["build", "-vv", "--push"]).exit(0);
        assert!(built.stderr.contains("| executed"), "{}", built.stderr);
        let local = format!("{}/{name}:1.2.3", services::registry());
        let random = |host: &str| Built::in_engine(host, &local).files()["random"].clone();
        // The label comes after the step, so only the label is new.
        let other = on(second, "[labels]\nnew = \"x\"");
        let built = other.run(&["build", "-vv", "--engine", "docker"]).exit(0);
        let how = format!("{first}, then {second}: {}", built.stderr);
        assert!(!built.stderr.contains("| executed"), "{how}");
        assert_eq!(random(second), random(first), "{how}");
    }
}

/// The daemon of the second build has no network for its steps, so they would fail.
#[test]
fn another_buildkit_daemon_executes_no_unchanged_step() {
    let (name, base) = (fresh_name("cache"), unknown_base());
    let reference = |version: &str| format!("{}/{name}:{version}", services::registry());
    let random = |version: &str| {
        let reference = reference(version);
        client(&["pull", "-q", &reference]);
        Built::named(&reference).files()["random"].clone()
    };
    let push_on = |host: &str, version: &str| {
        let daemon = Daemon::in_front_of(host);
        let text = golden_toml("cache = \"registry\"");
        let golden = Golden::new()
            .workspace(&format!(
                "{text}[[engine]]\nname = \"kit\"\nhost = \"{}\"\n",
                daemon.address
            ))
            .image(
                "app",
                &image(&name, version, &base, "platforms = [\"linux/amd64\"]"),
            )
            .env("DOCKER_HOST", "unix:///nowhere/docker.sock");
        golden.run(&["build", "-vv", "--push"]).exit(0).stderr
    };
    let first = push_on(services::docker_host(), "1.2.3");
    assert!(first.contains("| executed"), "{first}");
    let second = push_on(services::docker_second(), "1.2.4");
    assert!(!second.contains("| executed"), "{second}");
    assert_eq!(random("1.2.4"), random("1.2.3"), "{second}");
}

#[test]
fn the_tag_of_the_cache_is_not_a_version() {
    let (name, base) = (fresh_name("cache"), services::base_busybox());
    let golden = Engine::Docker20
        .on(Golden::new().workspace(&golden_toml("cache = \"registry\"")))
        .image("app", &image(&name, "1.0.0", base, ""))
        .image("slim", &image(&name, "1.0.0", base, "variant = \"slim\""));
    golden.run(&["build", "--push"]).exit(0);
    let listed = |golden: &Golden| -> Vec<(String, Value, Value)> {
        let text = golden
            .run(&["ls", &name, "--format", "json"])
            .exit(0)
            .stdout;
        let document: Value = serde_json::from_str(&text).unwrap();
        let rows = document["tags"].as_array().unwrap();
        rows.iter()
            .map(|row| {
                let tag = row["tag"].as_str().unwrap().to_owned();
                (tag, row["kind"].clone(), row["version"].clone())
            })
            .filter(|(tag, ..)| tag.starts_with("buildcache"))
            .collect()
    };
    let cache = |tag: &str| (tag.to_owned(), Value::from("build-cache"), Value::Null);
    assert_eq!(
        listed(&golden),
        [cache("buildcache"), cache("buildcache-slim")]
    );
    let again = golden.run(&["build", "--push"]).exit(0);
    assert!(again.stdout.contains("2 unchanged"), "{}", again.stdout);
    golden.run(&["verify"]).exit(0);

    // A cache that is not updated does not keep the version that it points to.
    golden.write("golden.toml", golden_toml(""));
    golden.write("app/image.toml", image(&name, "1.0.1", base, ""));
    golden.run(&["build", "--push"]).exit(0);
    let prune = ["prune", &name, "--keep", "1", "--yes"];
    let pruned = golden.run(&prune).exit(0).stdout;
    assert!(pruned.contains("1.0.0"), "{pruned}");
    assert!(!pruned.contains("buildcache"), "{pruned}");
    let left = listed(&golden);
    assert_eq!(left, [cache("buildcache-slim")]);
}

#[test]
fn names_of_the_cache_are_reserved() {
    for (rest, words) in [
        (
            "variant = \"buildcache\"",
            "a variant cannot be called `buildcache`",
        ),
        (
            "[tags]\nextra = [\"buildcache-x\"]",
            "is reserved for the build cache",
        ),
    ] {
        let golden = Golden::new().workspace("").image(
            "app",
            &image("app", "1.0.0", services::base_busybox(), rest),
        );
        let run = golden.run(&["check"]).exit(2);
        assert!(run.stderr.contains(words), "{}", run.stderr);
    }
}
