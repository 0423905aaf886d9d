//! Connections to an engine, and the errors if there is none.

use std::path::PathBuf;

use golden::engine::docker::Builder;
use golden::engine::{BuildOptions, Docker, DockerEnv, Error};

use super::recipe::{build, docker, file, on_busybox, recipe};
use crate::support::services;

fn host(host: &str) -> DockerEnv {
    DockerEnv {
        host: Some(host.to_owned()),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_build_over_tcp_equals_a_build_over_a_socket() {
    let docker = Docker::connect(&host(services::docker_tcp()))
        .await
        .unwrap();
    assert_eq!(docker.builder(), Builder::BuildKit);
    let outcome = build(
        &docker,
        &on_busybox(&docker, "RUN [\"/bin/sh\",\"-ec\",\"echo over tcp\"]").await,
        &BuildOptions {
            no_cache: true,
            ..Default::default()
        },
    )
    .await;
    outcome.built();
    assert_eq!(outcome.logs(), ["over tcp"]);
}

#[tokio::test]
async fn tcp_with_tls_requires_the_right_certificates() {
    let certificates = Some(PathBuf::from(services::docker_cert_path()));
    let tls = |cert_path: Option<PathBuf>, tls_verify: bool, tls: bool| DockerEnv {
        cert_path: cert_path.map(Into::into),
        tls_verify,
        tls,
        ..host(services::docker_tls())
    };
    for builder in super::recipe::BUILDERS {
        let environment = DockerEnv {
            buildkit: Some(builder == Builder::BuildKit),
            ..tls(certificates.clone(), true, false)
        };
        let docker = Docker::connect(&environment).await.unwrap();
        let mut recipe = recipe(
            golden::render::PinnedBase::Scratch,
            "FROM scratch\nCOPY a /a\n",
        );
        recipe.rendered.context = vec![file("a", "over TLS")];
        build(&docker, &recipe, &BuildOptions::default())
            .await
            .built();
    }
    // Without verification, the client certificate is still sent.
    Docker::connect(&tls(certificates.clone(), false, true))
        .await
        .unwrap();

    let plain = Docker::connect(&tls(None, false, false)).await.unwrap_err();
    assert!(plain.to_string().contains("HTTPS server"), "{plain:?}");
    let directory = tempfile::tempdir().unwrap();
    let no_ca = Docker::connect(&tls(Some(directory.path().into()), true, false))
        .await
        .unwrap_err();
    assert!(no_ca.to_string().contains("ca.pem is missing"), "{no_ca}");
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::io::Write::write_all(
        &mut std::fs::File::create(directory.path().join("ca.pem")).unwrap(),
        other.cert.pem().as_bytes(),
    )
    .unwrap();
    let wrong_ca = Docker::connect(&tls(Some(directory.path().into()), true, false))
        .await
        .unwrap_err();
    assert!(
        matches!(wrong_ca, Error::Unreachable { .. }),
        "{wrong_ca:?}"
    );
    let no_client = Docker::connect(&tls(Some(directory.path().into()), false, true))
        .await
        .unwrap_err();
    assert!(
        matches!(no_client, Error::Unreachable { .. }),
        "{no_client:?}"
    );
}

#[tokio::test]
async fn a_docker_context_names_the_engine() {
    let directory = tempfile::tempdir().unwrap();
    let name = golden::reference::Digest::of(b"tests");
    let meta = directory.path().join("contexts/meta").join(name.hex());
    std::fs::create_dir_all(&meta).unwrap();
    let write = |path: PathBuf, text: String| {
        std::io::Write::write_all(&mut std::fs::File::create(path).unwrap(), text.as_bytes())
            .unwrap();
    };
    let endpoint = format!(r#"{{"docker":{{"Host":"{}"}}}}"#, services::docker_host());
    write(
        meta.join("meta.json"),
        format!(r#"{{"Name":"tests","Metadata":{{}},"Endpoints":{endpoint}}}"#),
    );
    write(
        directory.path().join("config.json"),
        r#"{"currentContext":"tests"}"#.to_owned(),
    );
    let environment = DockerEnv {
        config_dir: Some(directory.path().into()),
        ..Default::default()
    };
    let docker = Docker::connect(&environment).await.unwrap();
    assert_eq!(docker.address(), services::docker_host());
}

#[tokio::test]
async fn a_stopped_engine_is_an_error_with_advice_to_start_it() {
    let directory = tempfile::tempdir().unwrap();
    let missing = format!("unix://{}/docker.sock", directory.path().display());
    let error = Docker::connect(&host(&missing)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("no Docker Engine answers at {missing}")
    );
    let hints = error.hints().join("\n");
    for words in ["systemctl start docker", "DOCKER_HOST", "--engine embedded"] {
        assert!(hints.contains(words), "{hints}");
    }
    let error = Docker::connect(&host("tcp://127.0.0.1:1"))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    let error = Docker::connect(&host("npipe:////./pipe/docker_engine"))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Address { .. }), "{error:?}");
}

#[tokio::test]
async fn an_unsupported_api_version_is_an_error() {
    let environment = DockerEnv {
        api_version: Some("1.99".into()),
        ..host(services::docker_host())
    };
    let error = Docker::connect(&environment).await.unwrap_err();
    assert!(error.to_string().contains("not 1.99"), "{error}");
    docker(Builder::Classic).await;
}
