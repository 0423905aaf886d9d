//! A secret is visible only to the step that requests it.

use golden::engine::docker::Builder;
use golden::engine::{BuildOptions, Error};
use golden::resolve::image::{RunStep, StepNeed};
use golden::secret::Secret;

use super::recipe::{build, docker, on_busybox, unique};
use crate::support::services;

const SECRET: &str = "s3cr3t-value-of-the-test";

fn step(name: &str) -> RunStep {
    RunStep {
        name: None,
        script: String::new(),
        user: None,
        secrets: vec![name.to_owned()],
        ssh: false,
        location: None,
    }
}

fn options() -> BuildOptions {
    let secrets = [(
        "npm_token".to_owned(),
        Secret::new(SECRET.as_bytes().to_vec()),
    )]
    .into();
    BuildOptions {
        secrets,
        no_cache: true,
        ..Default::default()
    }
}

const LINES: &str = "RUN --mount=type=secret,id=npm_token,required=true [\"/bin/sh\",\"-ec\",\"wc -c </run/secrets/npm_token; test \\\"$(cat /run/secrets/npm_token)\\\" = s3cr3t-value-of-the-test\"]\nRUN [\"/bin/sh\",\"-ec\",\"ls -A /run/secrets 2>/dev/null || echo gone\"]";

#[tokio::test]
async fn a_secret_reaches_its_step_and_is_not_stored() {
    let docker = docker(Builder::BuildKit).await;
    // The Dockerfile compares the value here; the search below looks for it everywhere else.
    let lines = LINES.replace(
        "test \\\"$(cat /run/secrets/npm_token)\\\" = s3cr3t-value-of-the-test",
        "sha256sum </run/secrets/npm_token",
    );
    let mut recipe = on_busybox(&docker, &lines).await;
    recipe.image.run = vec![step("npm_token")];
    let tag: golden::reference::Reference = format!("localhost/{}:1", unique()).parse().unwrap();
    let outcome = build(&docker, &recipe, &options()).await;
    docker.tag(outcome.built().1, &tag).await.unwrap();
    let digest = golden::reference::Digest::of(SECRET.as_bytes());
    let logs = outcome.logs();
    assert_eq!(logs[0], SECRET.len().to_string());
    assert!(logs[1].starts_with(digest.hex()), "{logs:?}");
    assert!(!format!("{:?}", outcome.events).contains(SECRET));

    let saved = std::process::Command::new("docker")
        .args(["-H", services::docker_host(), "save", &tag.to_string()])
        .output()
        .unwrap();
    assert!(
        saved.status.success(),
        "{}",
        String::from_utf8_lossy(&saved.stderr)
    );
    assert!(
        !saved
            .stdout
            .windows(SECRET.len())
            .any(|window| window == SECRET.as_bytes()),
        "the secret is in the image"
    );
    docker.remove(&tag).await.unwrap();
}

#[tokio::test]
async fn the_classic_builder_and_a_missing_secret_are_refused_before_the_build() {
    let classic = docker(Builder::Classic).await;
    let mut recipe = on_busybox(&classic, "RUN true").await;
    recipe.image.run = vec![step("npm_token")];
    let outcome = build(&classic, &recipe, &options()).await;
    assert!(
        matches!(&outcome.result, Err(Error::NeedsBuildKit { need: StepNeed::Secret(name) }) if name == "npm_token"),
        "{:?}",
        outcome.result
    );
    assert!(outcome.events.is_empty());

    let buildkit = docker(Builder::BuildKit).await;
    recipe.image.run = vec![step("other")];
    let outcome = build(&buildkit, &recipe, &options()).await;
    assert!(
        matches!(&outcome.result, Err(Error::NotPassed { need: StepNeed::Secret(name) }) if name == "other"),
        "{:?}",
        outcome.result
    );
    assert!(outcome.events.is_empty());
}
