//! Pushes by the engine, which connects to the registry with its own settings.

use golden::engine::docker::Builder;
use golden::engine::{Docker, Error};
use golden::event::Events;
use golden::reference::Reference;
use golden::registry::Credential;
use golden::secret::Secret;

use super::recipe::{docker, local_base, unique};
use crate::support::services;

async fn tagged(docker: &Docker, host: &str) -> Reference {
    let reference: Reference = format!("{host}/{}:1.2.3", unique()).parse().unwrap();
    let id = docker.image(&local_base()).await.unwrap().unwrap().id;
    docker.tag(&id, &reference).await.unwrap();
    reference
}

#[tokio::test]
async fn a_password_whose_base64_needs_the_url_alphabet_is_accepted() {
    let docker = docker(Builder::Classic).await;
    let reference = tagged(&docker, services::registry_htpasswd()).await;
    let login = |password: &str| Credential::Password {
        user: services::htpasswd_user().into(),
        password: Secret::new(password.into()),
    };
    // Otherwise the test could not detect the difference.
    assert!(services::htpasswd_password().contains('>'));
    docker
        .push(
            &reference,
            Some(&login(services::htpasswd_password())),
            "app",
            &Events::silent(),
        )
        .await
        .unwrap();

    let another = tagged(&docker, services::registry_htpasswd()).await;
    for login in [Some(login("wrong")), None] {
        let error = docker
            .push(&another, login.as_ref(), "app", &Events::silent())
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Push { .. }), "{error:?}");
        let hints = error.hints().join("\n");
        assert!(
            hints.contains("docker login") && hints.contains("`localhost` is the engine's machine"),
            "{error:?} {hints}"
        );
    }
    docker.remove(&reference).await.unwrap();
    docker.remove(&another).await.unwrap();
}

#[tokio::test]
async fn an_engine_that_does_not_trust_the_registry_is_reported_with_advice() {
    let docker = docker(Builder::Classic).await;
    let reference = tagged(&docker, services::registry_tls()).await;
    match docker
        .push(&reference, None, "app", &Events::silent())
        .await
    {
        // An engine may accept any certificate of a loopback registry.
        Ok(()) => {}
        Err(error) => {
            let hints = error.hints().join("\n");
            assert!(
                hints.contains("certs.d") || hints.contains("insecure-registries"),
                "{error} {hints}"
            );
        }
    }
    docker.remove(&reference).await.unwrap();
}

#[tokio::test]
async fn an_unreachable_registry_is_an_error() {
    let docker = docker(Builder::Classic).await;
    let reference = tagged(&docker, "127.0.0.1:1").await;
    let error = docker
        .push(&reference, None, "app", &Events::silent())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("connection refused"), "{error}");
    docker.remove(&reference).await.unwrap();
}
