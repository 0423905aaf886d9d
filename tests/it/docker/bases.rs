//! Bases of a build: a registry's digest, the engine's own image, a parent from the same run.

use golden::engine::docker::Builder;
use golden::engine::{BuildOptions, Docker, Error};
use golden::reference::{Digest, Reference};
use golden::registry::Credential;
use golden::render::PinnedBase;
use golden::secret::Secret;

use super::recipe::{BUILDERS, build, docker, environment, local_base, on_busybox, recipe, unique};
use crate::support::services;

const LINES: &str = "ARG GOLDEN_BASE=none\nFROM ${GOLDEN_BASE}\nARG GOLDEN_BASE_USER=\nUSER root\nRUN [\"/bin/sh\",\"-ec\",\"id -u\"]\nUSER ${GOLDEN_BASE_USER}\n";

/// A Dockerfile without steps, for the second engine, because BuildKit cannot give its steps a
/// network.
const NO_STEPS: &str = "ARG GOLDEN_BASE=none\nFROM ${GOLDEN_BASE}\nLABEL built=yes\n";

/// The digest of the registry's busybox, which the second engine pulls.
async fn published() -> (Reference, Digest) {
    let docker = docker(Builder::Classic).await;
    let reference: Reference = services::base_busybox().parse().unwrap();
    let Some(image) = docker.image(&reference).await.unwrap() else {
        panic!("the services push the base from the first engine");
    };
    let known = image
        .repo_digests
        .iter()
        .find(|known| known.repository == reference.repository);
    (reference, known.unwrap().digest.clone().unwrap())
}

#[tokio::test]
async fn an_engine_pulls_a_base_digest_that_it_lacks() {
    let (reference, digest) = published().await;
    for builder in BUILDERS {
        let second = Docker::connect(&environment(services::docker_second(), builder))
            .await
            .unwrap();
        second.remove(&reference.at(digest.clone())).await.unwrap();
        let base = PinnedBase::Registry {
            reference: reference.clone(),
            digest: digest.clone(),
            platforms: std::collections::BTreeMap::default(),
        };
        let outcome = build(&second, &recipe(base, NO_STEPS), &BuildOptions::default()).await;
        outcome.built();
        assert!(
            outcome.steps()[0].starts_with("pull 127.0.0.1:"),
            "{:?}",
            outcome.steps()
        );
    }
}

#[tokio::test]
async fn a_login_reaches_the_registry_of_the_base() {
    let docker = docker(Builder::BuildKit).await;
    let host = services::registry_htpasswd();
    let reference: Reference = format!("{host}/{}:1", unique()).parse().unwrap();
    let id = docker.image(&local_base()).await.unwrap().unwrap().id;
    docker.tag(&id, &reference).await.unwrap();
    let login = Credential::Password {
        user: services::htpasswd_user().into(),
        password: Secret::new(services::htpasswd_password().into()),
    };
    docker
        .push(
            &reference,
            Some(&login),
            "base",
            &golden::event::Events::silent(),
        )
        .await
        .unwrap();
    let image = docker.image(&reference).await.unwrap().unwrap();
    let digest = image
        .repo_digests
        .iter()
        .find(|known| known.repository == reference.repository)
        .unwrap()
        .digest
        .clone()
        .unwrap();
    docker.remove(&reference).await.unwrap();

    let second = Docker::connect(&environment(services::docker_second(), Builder::BuildKit))
        .await
        .unwrap();
    let base = PinnedBase::Registry {
        reference: reference.clone(),
        digest,
        platforms: std::collections::BTreeMap::default(),
    };
    let recipe = recipe(base, NO_STEPS);
    let refused = build(&second, &recipe, &BuildOptions::default())
        .await
        .result
        .unwrap_err();
    assert!(matches!(refused, Error::Base { .. }), "{refused:?}");
    assert!(
        refused
            .hints()
            .iter()
            .any(|hint| hint.contains("docker login")),
        "{:?}",
        refused.hints()
    );
    let logins = [(reference.repository.host.clone(), login)].into();
    build(
        &second,
        &recipe,
        &BuildOptions {
            logins,
            ..Default::default()
        },
    )
    .await
    .built();
}

#[tokio::test]
async fn steps_as_root_keep_the_user_of_the_base() {
    for builder in BUILDERS {
        let docker = docker(builder).await;
        let parent: Reference = format!("localhost/{}:1", unique()).parse().unwrap();
        let with_user = on_busybox(&docker, "USER 1234:99").await;
        let outcome = build(&docker, &with_user, &BuildOptions::default()).await;
        docker.tag(outcome.built().1, &parent).await.unwrap();

        let base = PinnedBase::Workspace {
            parent: "parent:1.0.0".into(),
            inputs: Digest::of(b""),
        };
        let child = recipe(base, LINES);
        let options = BuildOptions {
            parent: Some(parent.clone()),
            no_cache: true,
            ..Default::default()
        };
        let outcome = build(&docker, &child, &options).await;
        assert_eq!(outcome.built().0.config.user(), "1234:99", "{builder:?}");
        assert_eq!(outcome.logs(), ["0"], "{builder:?}");
        docker.remove(&parent).await.unwrap();

        // An image on a base without a user has no user.
        let reference = local_base();
        let id = docker.image(&reference).await.unwrap().unwrap().id;
        let outcome = build(
            &docker,
            &recipe(PinnedBase::Local { reference, id }, LINES),
            &BuildOptions::default(),
        )
        .await;
        assert_eq!(outcome.built().0.config.user(), "", "{builder:?}");
    }
}

#[tokio::test]
async fn a_local_base_that_changed_since_the_plan_is_refused() {
    let docker = docker(Builder::Classic).await;
    let base = PinnedBase::Local {
        reference: local_base(),
        id: Digest::of(b"another image"),
    };
    let error = build(&docker, &recipe(base, LINES), &BuildOptions::default())
        .await
        .result
        .unwrap_err();
    assert!(
        matches!(&error, Error::Base { message, .. } if message.contains("and is now")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_missing_base_is_named() {
    let docker = docker(Builder::Classic).await;
    let reference: Reference = format!("{}/no/such:1", services::registry())
        .parse()
        .unwrap();
    let base = PinnedBase::Registry {
        reference,
        digest: Digest::of(b"nothing"),
        platforms: std::collections::BTreeMap::default(),
    };
    let error = build(&docker, &recipe(base, LINES), &BuildOptions::default())
        .await
        .result
        .unwrap_err();
    assert!(error.to_string().contains("/no/such@sha256:"), "{error}");
}
