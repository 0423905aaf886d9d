//! Uploads of large blobs: in chunks where required, resumed after a break, with tokens that expire
//! during the upload.

use std::collections::BTreeMap;
use std::sync::Arc;

use golden::event::BlobTransfer;
use golden::oci::{Bytes, Descriptor, media};
use golden::reference::{Host, RepositoryPath};
use golden::registry::{BlobSource, LoginScope, Registries, Registry, RegistryEnv};

use crate::support::logins::{Bearer, SECRET, with_bearer};
use tokio::io::AsyncReadExt as _;

use crate::support::curl::curl;
use crate::support::proxy::{Fault, fault_proxy, rewriting};
use crate::support::publisher::fresh_name;
use crate::support::registry::{Behaviour, FakeRegistry, refuse};
use crate::support::served::Served;
use crate::support::server::Seen;
use crate::support::services;
use crate::support::tunnel::Tunnel;

const MIB: usize = 1024 * 1024;

/// A client with the login of the GOLDEN_ variables, and a small retry budget.
fn client(host: &str) -> Registry {
    let vars = [
        ("GOLDEN_REGISTRY_USER", "robot"),
        ("GOLDEN_REGISTRY_PASSWORD", SECRET),
    ];
    let vars = vars.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let mut env = RegistryEnv::from_vars(&BTreeMap::from(vars));
    env.retry_policy.pause = std::time::Duration::from_millis(20);
    let host: Host = host.parse().unwrap();
    env.scope = LoginScope::of([host.clone()]);
    Registries::new(Vec::new(), env).at(&host)
}

fn path(text: &str) -> RepositoryPath {
    text.parse().unwrap()
}

/// Pseudo-random content, so that a misplaced part changes the digest.
fn blob(size: usize) -> (Bytes, Descriptor) {
    let mut content = vec![0; size];
    fastrand::Rng::with_seed(size as u64).fill(&mut content);
    let descriptor = Descriptor::of(media::OCI_LAYER, &content);
    (content.into(), descriptor)
}

async fn assert_complete(
    registry: &Registry,
    repository: &RepositoryPath,
    descriptor: &Descriptor,
) {
    // A complete read hashes the blob, and fails on a wrong digest.
    let mut reader = registry.repo(repository).read(descriptor, 0).await.unwrap();
    let length = tokio::io::copy(&mut reader, &mut tokio::io::sink())
        .await
        .unwrap();
    assert_eq!(length, descriptor.size);
}

/// The methods of the requests that carried upload data, with the sizes of their bodies.
fn data_requests(requests: &[Seen]) -> Vec<(String, usize)> {
    let uploads = requests
        .iter()
        .filter(|seen| seen.path.contains("/blobs/uploads/"));
    let carrying = uploads.filter(|seen| ["PATCH", "PUT"].contains(&seen.method.as_str()));
    carrying
        .map(|seen| (seen.method.clone(), seen.body.len()))
        .collect()
}

#[tokio::test]
async fn a_blob_over_64_mib_is_sent_in_chunks() {
    let (content, descriptor) = blob(65 * MIB + 1);
    let proxy = fault_proxy(services::registry(), None);
    let (registry, repository) = (client(&proxy.host()), path(&fresh_name("chunks")));
    let sent = registry
        .repo(&repository)
        .push_blob(&descriptor, &content)
        .await
        .unwrap();
    assert_eq!(sent, BlobTransfer::Sent(descriptor.size));
    let expected = [("PATCH", 64 * MIB), ("PATCH", MIB + 1), ("PUT", 0)];
    assert_eq!(
        data_requests(&proxy.seen()),
        expected.map(|(method, size)| (method.to_owned(), size))
    );
    assert_complete(&client(services::registry()), &repository, &descriptor).await;
}

/// A registry, or a web server in front of it, that accepts bodies only up to `most` bytes, and
/// chunks only from `least` bytes on.
fn registry_with_limits(most: usize, least: Option<usize>) -> FakeRegistry {
    let instead = move |seen: &Seen| {
        let refused = seen.body.len() > most && ["PATCH", "PUT"].contains(&seen.method.as_str());
        refused.then(|| refuse(413, "SIZE_INVALID", "request entity too large"))
    };
    FakeRegistry::start(Behaviour {
        instead: Some(Arc::new(instead)),
        min_chunk: least,
        ..Behaviour::default()
    })
}

#[tokio::test]
async fn a_body_that_is_too_large_is_sent_in_smaller_chunks() {
    let (content, descriptor) = blob(5 * MIB + 7);
    let registry = registry_with_limits(2 * MIB, None);
    client(&registry.host())
        .repo(&path("a"))
        .push_blob(&descriptor, &content)
        .await
        .unwrap();
    let data_requests = data_requests(&registry.server.seen());
    // First one body, which is refused; then chunks of a quarter of the limit.
    assert_eq!(data_requests[0], ("PUT".to_owned(), 5 * MIB + 7));
    assert!(
        data_requests[1..].iter().all(|(_, size)| *size <= 2 * MIB),
        "{data_requests:?}"
    );
    assert_eq!(data_requests.len(), 1 + 4 + 1, "{data_requests:?}");
    assert_eq!(registry.open_uploads(), 0);
    assert_complete(&client(&registry.host()), &path("a"), &descriptor).await;
}

#[tokio::test]
async fn a_body_limit_below_one_mib_is_an_error() {
    let (content, descriptor) = blob(3 * MIB);
    let registry = registry_with_limits(100_000, None);
    let error = client(&registry.host())
        .repo(&path("a"))
        .push_blob(&descriptor, &content)
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("413 SIZE_INVALID: request entity too large"),
        "{error}"
    );
    assert_eq!(registry.open_uploads(), 0);
}

#[tokio::test]
async fn chunks_have_at_least_the_size_that_the_registry_requires() {
    let (content, descriptor) = blob(5 * MIB + 7);
    let registry = registry_with_limits(3 * MIB, Some(2 * MIB));
    client(&registry.host())
        .repo(&path("a"))
        .push_blob(&descriptor, &content)
        .await
        .unwrap();
    let data_requests = data_requests(&registry.server.seen());
    let expected = [
        ("PUT", 5 * MIB + 7),
        ("PATCH", 2 * MIB),
        ("PATCH", 2 * MIB),
        ("PATCH", MIB + 7),
        ("PUT", 0),
    ];
    assert_eq!(
        data_requests,
        expected.map(|(method, size)| (method.to_owned(), size))
    );
}

#[tokio::test]
async fn an_interrupted_upload_continues_at_the_offset_of_the_registry() {
    let (content, descriptor) = blob(8 * MIB);
    let registry = FakeRegistry::start(Behaviour::default());
    let tunnel = Tunnel::cutting(registry.server.port, 3 * MIB);
    client(&tunnel.host())
        .repo(&path("a"))
        .push_blob(&descriptor, &content)
        .await
        .unwrap();
    let seen = registry.server.seen();
    let resumed = seen.iter().find(|seen| seen.method == "PATCH").unwrap();
    let from: usize = resumed
        .header("content-range")
        .unwrap()
        .split('-')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(from > 2 * MIB, "resumed at {from}");
    assert!(tunnel.sent() < 9 * MIB, "{} bytes were sent", tunnel.sent());
    assert_complete(&client(&registry.host()), &path("a"), &descriptor).await;
}

/// Only the answer was lost: the data that arrived is not sent again.
#[tokio::test]
async fn after_a_lost_answer_the_data_is_not_sent_again() {
    for fault in [Fault::CutAfter, Fault::Failed] {
        let (content, descriptor) = blob(MIB);
        // HEAD, POST, and then the PUT that completes the upload.
        let proxy = fault_proxy(services::registry(), Some((2, fault)));
        let repository = path(&fresh_name("lost"));
        client(&proxy.host())
            .repo(&repository)
            .push_blob(&descriptor, &content)
            .await
            .unwrap();
        assert_eq!(
            data_requests(&proxy.seen()),
            [("PUT".to_owned(), MIB)],
            "{fault:?}"
        );
        assert_complete(&client(services::registry()), &repository, &descriptor).await;
    }
}

/// distribution 2.8 loses the upload session when a request breaks: then everything is sent again.
#[tokio::test]
async fn a_real_registry_has_the_complete_blob_after_a_break() {
    let port = services::registry()
        .split_once(':')
        .unwrap()
        .1
        .parse()
        .unwrap();
    for (size, cut) in [(8 * MIB, 3 * MIB), (66 * MIB, 65 * MIB)] {
        let (content, descriptor) = blob(size);
        let tunnel = Tunnel::cutting(port, cut);
        let repository = path(&fresh_name("broken"));
        client(&tunnel.host())
            .repo(&repository)
            .push_blob(&descriptor, &content)
            .await
            .unwrap();
        assert!(tunnel.heads().len() > 1, "the connection was cut");
        assert_complete(&client(services::registry()), &repository, &descriptor).await;
    }
}

#[tokio::test]
async fn a_token_may_expire_between_any_two_requests_of_an_upload() {
    // Each token is valid for one request: every request of the upload needs a new one.
    let Bearer { registry, tokens } = with_bearer(1);
    let (content, descriptor) = blob(65 * MIB);
    let client = client(&registry.host());
    assert_eq!(
        client
            .repo(&path("app"))
            .push_blob(&descriptor, &content)
            .await
            .unwrap(),
        BlobTransfer::Sent(descriptor.size)
    );
    assert_complete(&client, &path("app"), &descriptor).await;
    assert!(tokens.seen().len() >= 6, "{}", tokens.seen().len());
    assert_eq!(registry.open_uploads(), 0);
}

#[tokio::test]
async fn a_failed_upload_is_cancelled() {
    let instead = |seen: &Seen| {
        (seen.method == "PUT").then(|| refuse(403, "DENIED", "this repository is full"))
    };
    let registry = FakeRegistry::start(Behaviour {
        instead: Some(Arc::new(instead)),
        ..Behaviour::default()
    });
    let (content, descriptor) = blob(1000);
    let error = client(&registry.host())
        .repo(&path("a"))
        .push_blob(&descriptor, &content)
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("403 DENIED: no login was used: this repository is full"),
        "{error}"
    );
    assert_eq!(registry.open_uploads(), 0);
}

/// A blob whose second half never arrives.
struct Stalling(Bytes);

#[async_trait::async_trait]
impl BlobSource for Stalling {
    async fn open(
        &self,
        offset: u64,
    ) -> std::io::Result<Box<dyn tokio::io::AsyncRead + Send + Unpin>> {
        let half = self.0.len() as u64 / 2;
        let start = self.0.open(offset).await?;
        Ok(Box::new(start.take(half).chain(Never)))
    }
}

/// A stream that never returns data.
struct Never;

impl tokio::io::AsyncRead for Never {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        _: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Pending
    }
}

/// The Location of an upload changes with every byte that the registry accepts, and a cancellation
/// requires the current one.
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_upload_is_cancelled() {
    let (fake, served) = (
        FakeRegistry::start(Behaviour::default()),
        Served::start(&[]),
    );
    for upstream in [fake.host(), served.host().to_owned()] {
        // The registry keeps the part that arrived.
        let proxy = rewriting(&upstream, |seen| {
            let whole = seen
                .header("content-length")
                .is_none_or(|length| length == seen.body.len().to_string());
            if seen.method == "PUT" && !whole {
                seen.method = "PATCH".to_owned();
            }
        });
        let (content, descriptor) = blob(2 * MIB);
        let (registry, repository) = (client(&proxy.host()), path(&fresh_name("interrupted")));
        let source = Stalling(content);
        let repo = registry.repo(&repository);
        let push = repo.push_blob(&descriptor, &source);
        let limit = std::time::Duration::from_millis(500);
        assert!(
            tokio::time::timeout(limit, push).await.is_err(),
            "it was uploaded"
        );
        let uploads = || {
            let seen = proxy.seen().into_iter();
            seen.filter(|seen| seen.path.contains("/blobs/uploads/"))
                .collect::<Vec<_>>()
        };
        let start = std::time::Instant::now();
        while !uploads().iter().any(|seen| seen.method == "DELETE") || fake.open_uploads() > 0 {
            assert!(start.elapsed().as_secs() < 10, "{upstream}: not cancelled");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        tokio::time::sleep(limit).await;
        let cancellation = uploads()
            .into_iter()
            .rfind(|seen| seen.method == "DELETE")
            .unwrap();
        let status = curl(
            "GET",
            &upstream,
            cancellation.path.trim_start_matches("/v2/"),
        )
        .status;
        assert_eq!(status, 404, "{upstream} still has the upload");
    }
}
