//! The registry client: lists, invalid answers, retries, resumed uploads, several tags in one
//! request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use golden::event::BlobTransfer;
use golden::oci::{Bytes, Descriptor, RawManifest, media};
use golden::reference::{Digest, Host, RepositoryPath, Target};
use golden::registry::{FailureKind, Registries, Registry, RegistryEnv};
use serde_json::json;

use crate::support::proxy::{Fault, fault_proxy};
use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::server::{Answer, Seen, Server, handler};
use crate::support::services;
use crate::support::workspace::Golden;

/// A client for a host, with a retry budget of one second.
fn client(host: &str) -> Registry {
    let vars = BTreeMap::from([("GOLDEN_REGISTRY_TIMEOUT".to_owned(), "1".to_owned())]);
    let mut env = RegistryEnv::from_vars(&vars);
    env.retry_policy.pause = std::time::Duration::from_millis(20);
    Registries::new(Vec::new(), env).at(&host.parse::<Host>().unwrap())
}

fn path(text: &str) -> RepositoryPath {
    text.parse().unwrap()
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// A registry; `instead` replaces some of its answers.
fn registry_with(
    instead: impl Fn(&Seen) -> Option<Answer> + Send + Sync + 'static,
) -> FakeRegistry {
    FakeRegistry::start(Behaviour {
        instead: Some(Arc::new(instead)),
        ..Behaviour::default()
    })
}

#[test]
fn all_pages_of_a_list_are_read() {
    let registry = FakeRegistry::start(Behaviour {
        page: Some(2),
        ..Behaviour::default()
    });
    registry.image("team/app", "a", &["1", "1.2", "1.2.3", "latest", "edge"]);
    let tags = run(client(&registry.host()).repo(&path("team/app")).tags()).unwrap();
    assert_eq!(
        tags.iter()
            .map(golden::reference::Tag::as_str)
            .collect::<Vec<_>>(),
        ["1", "1.2", "1.2.3", "edge", "latest"]
    );
    assert_eq!(registry.requests().len(), 3);
}

#[test]
fn a_list_of_a_hundred_thousand_tags_is_read() {
    let registry = registry_with(|seen| {
        let last = seen
            .query("last")
            .pop()
            .map(|last| last.trim_start_matches('t').parse::<usize>().unwrap());
        // After a full page without a Link, golden requests the next page.
        let from = if last == Some(99_999) {
            99_000
        } else {
            last.unwrap_or_default()
        };
        let tags: Vec<String> = (from..from + 1000).map(|n| format!("t{n}")).collect();
        let answer = Answer::new(200, json!({ "tags": tags }).to_string());
        let next = from + 1000;
        Some(if next < 100_000 {
            answer.header("link", format!("<?last={next}>; rel=\"next\""))
        } else {
            answer
        })
    });
    assert_eq!(
        run(client(&registry.host()).repo(&path("a")).tags())
            .unwrap()
            .len(),
        100_000
    );
}

#[test]
fn a_page_that_links_to_itself_is_an_error() {
    let registry = registry_with(|seen| {
        Some(
            Answer::new(200, r#"{"tags":["b","a","b"]}"#)
                .header("link", format!("<{}>; rel=\"next\"", seen.path)),
        )
    });
    let error = run(client(&registry.host()).repo(&path("a")).tags()).unwrap_err();
    assert_eq!(error.kind, FailureKind::Incomplete, "{error}");
    assert_eq!(registry.requests().len(), 1);
}

#[test]
fn a_link_to_another_host_is_refused() {
    let registry = registry_with(|_| {
        Some(
            Answer::new(200, r#"{"tags":["a"]}"#)
                .header("link", "<http://127.0.0.2:1/x>; rel=\"next\""),
        )
    });
    let error = run(client(&registry.host()).repo(&path("a")).tags()).unwrap_err();
    assert!(error.to_string().contains("on another host"), "{error}");
}

#[test]
fn a_repository_without_tags_and_a_missing_one_have_an_empty_list() {
    let registry = FakeRegistry::start(Behaviour::default());
    registry.image("empty", "a", &[]);
    for name in ["empty", "unknown"] {
        assert!(
            run(client(&registry.host()).repo(&path(name)).tags())
                .unwrap()
                .is_empty()
        );
    }
    let portal = registry_with(|_| Some(Answer::new(404, "404 page not found\n")));
    let error = run(client(&portal.host()).repo(&path("a")).tags()).unwrap_err();
    assert_eq!(
        error.kind,
        FailureKind::NotFound,
        "a 404 alone proves nothing: {error}"
    );
}

#[test]
fn an_invalid_manifest_is_reported_with_its_cause() {
    let manifest = json!({ "schemaVersion": 2, "config": {}, "layers": [] }).to_string();
    let other = Digest::of(b"other").to_string();
    let with = move |answer: Answer| registry_with(move |_| Some(answer.clone()));
    let ok = |body: &str| Answer::new(200, body).header("content-type", media::OCI_MANIFEST);
    let html = Answer::new(200, "<html>please log in").header("content-type", "text/html");
    let huge = Answer::Half {
        status: 200,
        headers: Vec::new(),
        body: b"{}".to_vec(),
    }
    .header("content-length", 100_000_000);
    for (answer, target, kind, words) in [
        (
            ok(&manifest),
            Some(&other),
            FailureKind::Digest,
            "does not have the digest",
        ),
        (
            ok(&manifest).header("docker-content-digest", &other),
            None,
            FailureKind::Digest,
            "does not have the digest",
        ),
        (
            ok("{nonsense"),
            None,
            FailureKind::Malformed,
            "the manifest is not JSON",
        ),
        (
            html,
            None,
            FailureKind::Malformed,
            "the response is a web page, not a manifest",
        ),
        (
            Answer::new(200, r#"{"schemaVersion":1}"#)
                .header("content-type", media::DOCKER_SCHEMA1),
            None,
            FailureKind::Unsupported,
            "schema 1",
        ),
        (huge, None, FailureKind::TooLarge, "larger than 4096 KiB"),
    ] {
        let registry = with(answer);
        let target = match target {
            Some(digest) => Target::Digest(digest.parse().unwrap()),
            None => Target::Tag("1".parse().unwrap()),
        };
        let error = run(client(&registry.host()).repo(&path("a")).manifest(&target)).unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(
            error.to_string().starts_with("GET http://127.0.0.1"),
            "{error}"
        );
    }
}

#[test]
fn a_web_page_instead_of_a_list_is_an_error() {
    let registry = registry_with(|_| Some(Answer::new(200, "<!DOCTYPE html><p>log in")));
    let run = Golden::new().run(&["ls", &registry.host()]).exit(1);
    assert!(
        run.stderr.contains("the response is a web page"),
        "{}",
        run.stderr
    );
    let run = Golden::new()
        .run(&["ls", &format!("{}/a", registry.host())])
        .exit(1);
    assert!(run.stderr.contains("captive portal"), "{}", run.stderr);
}

#[test]
fn temporary_failures_are_retried() {
    for status in [429, 500, 502, 503, 504] {
        let count = AtomicUsize::new(0);
        let registry = registry_with(move |_| {
            (count.fetch_add(1, Ordering::SeqCst) < 2)
                .then(|| Answer::new(status, "not now").header("retry-after", 0))
        });
        run(client(&registry.host()).catalog()).unwrap();
        assert_eq!(registry.requests().len(), 3, "{status}");
    }
}

#[test]
fn a_used_up_quota_is_not_retried() {
    let registry = registry_with(|_| {
        Some(Answer::new(
            429,
            "toomanyrequests: You have reached your pull rate limit.",
        ))
    });
    let error = run(client(&registry.host()).catalog()).unwrap_err();
    assert_eq!(
        (error.kind, registry.requests().len()),
        (FailureKind::Quota, 1),
        "{error}"
    );
    let registry = registry_with(|_| Some(Answer::new(429, "later").header("retry-after", 21600)));
    let error = run(client(&registry.host()).catalog()).unwrap_err();
    assert!(
        error.to_string().contains("asks to wait 21600 s"),
        "{error}"
    );
    assert_eq!(registry.requests().len(), 1);
}

#[test]
fn a_stalled_answer_times_out() {
    let count = AtomicUsize::new(0);
    let registry = registry_with(move |_| {
        (count.fetch_add(1, Ordering::SeqCst) == 0).then_some(Answer::Stall)
    });
    run(client(&registry.host()).catalog()).unwrap();
    assert_eq!(registry.requests().len(), 2);
}

#[test]
fn all_tags_are_put_in_one_request_if_the_registry_supports_it() {
    let tags: Vec<_> = ["1.2.3", "1.2", "1", "latest"]
        .map(|tag| tag.parse().unwrap())
        .to_vec();
    for (fan_out, puts) in [(true, 1), (false, 5)] {
        let registry = FakeRegistry::start(Behaviour {
            fan_out,
            ..Behaviour::default()
        });
        let digest = registry.image("a", "x", &[]);
        let client = client(&registry.host());
        let target = Target::Digest(digest.parse().unwrap());
        let raw = run(client.repo(&path("a")).manifest(&target))
            .unwrap()
            .unwrap();
        run(client.repo(&path("a")).put_tags(&tags, &raw)).unwrap();
        assert_eq!(
            registry.tags("a").into_values().collect::<Vec<_>>(),
            vec![digest; 4]
        );
        assert_eq!(
            registry
                .requests()
                .iter()
                .filter(|line| line.starts_with("PUT"))
                .count(),
            puts
        );
    }
}

/// A registry that accepts some of the tags, none of them, or claims tags that were not sent.
#[test]
fn only_tags_that_the_registry_confirms_count_as_put() {
    let tags: Vec<_> = ["1.2.3", "1.2", "1", "latest"]
        .map(|tag| tag.parse().unwrap())
        .to_vec();
    let puts = |registry: &FakeRegistry| {
        let lines = registry.requests();
        lines
            .into_iter()
            .filter(|line| line.starts_with("PUT"))
            .collect::<Vec<_>>()
    };
    for (most, expected) in [(3, 2), (1, 4), (0, 5)] {
        let behaviour = Behaviour {
            fan_out: true,
            max_tags_per_request: Some(most),
            ..Behaviour::default()
        };
        let registry = FakeRegistry::start(behaviour);
        let digest = registry.image("a", "x", &[]);
        let client = client(&registry.host());
        let target = Target::Digest(digest.parse().unwrap());
        let raw = run(client.repo(&path("a")).manifest(&target))
            .unwrap()
            .unwrap();
        run(client.repo(&path("a")).put_tags(&tags, &raw)).unwrap();
        assert_eq!(
            registry.tags("a").into_values().collect::<Vec<_>>(),
            vec![digest; 4]
        );
        assert_eq!(puts(&registry).len(), expected, "{:?}", puts(&registry));
        // The other tags are put in the requested order. A registry that accepted none gets no
        // second request of this kind.
        if most == 0 {
            let alone: Vec<_> = puts(&registry)[1..]
                .iter()
                .map(|line| line.rsplit_once('/').unwrap().1.to_owned())
                .collect();
            assert_eq!(alone, ["1.2.3", "1.2", "1", "latest"]);
            run(client.repo(&path("a")).put_tags(&tags, &raw)).unwrap();
            assert_eq!(
                puts(&registry)
                    .iter()
                    .filter(|line| line.contains("?tag="))
                    .count(),
                1
            );
        }
    }
    for named in ["1.2.3, 1.2,1 , latest", "nonsense, 9.9.9"] {
        let lie = registry_with(move |seen| {
            let fan_out = seen.method == "PUT" && seen.path.contains("?tag=");
            fan_out.then(|| Answer::new(201, "").header("oci-tag", named))
        });
        let digest = lie.image("a", "x", &[]);
        let client = client(&lie.host());
        let raw = run(client
            .repo(&path("a"))
            .manifest(&Target::Digest(digest.parse().unwrap())))
        .unwrap()
        .unwrap();
        run(client.repo(&path("a")).put_tags(&tags, &raw)).unwrap();
        let expected = if named.starts_with("1.2.3") { 1 } else { 5 };
        assert_eq!(puts(&lie).len(), expected, "{named}");
    }
}

fn blob(size: usize) -> (Bytes, Descriptor) {
    let content: Vec<u8> = (0..size).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let descriptor = Descriptor::of(media::OCI_LAYER, &content);
    (content.into(), descriptor)
}

#[test]
fn a_blob_is_sent_once_and_mounted_where_possible() {
    let registry = FakeRegistry::start(Behaviour::default());
    let (content, descriptor) = blob(100_000);
    let client = client(&registry.host());
    run(async {
        let sent = client
            .repo(&path("a"))
            .push_blob(&descriptor, &content)
            .await
            .unwrap();
        assert_eq!(sent, BlobTransfer::Sent(100_000));
        assert_eq!(
            client
                .repo(&path("a"))
                .push_blob(&descriptor, &content)
                .await
                .unwrap(),
            BlobTransfer::Present
        );
        let mounted = client
            .repo(&path("b"))
            .push_blob_or_mount(&descriptor, &path("a"), &content)
            .await
            .unwrap();
        assert_eq!(mounted, BlobTransfer::Mounted);
        let read = client
            .repo(&path("b"))
            .blob(&descriptor, 1_000_000)
            .await
            .unwrap();
        assert_eq!(read, content);
    });
    assert_eq!(registry.open_uploads(), 0);
}

/// Injects every fault into every request of an upload to a registry; the upload must succeed each
/// time.
fn survives_every_fault(upstream: &str, repository: &str) {
    let (content, descriptor) = blob(300_000);
    let upload = |host: String, name: String| {
        run(async {
            let client = client(&host);
            let repository = path(&name);
            client
                .repo(&repository)
                .push_blob(&descriptor, &content)
                .await?;
            let config = Descriptor::of(media::OCI_CONFIG, b"{}");
            client
                .repo(&repository)
                .push_blob(&config, &Bytes::from(b"{}".as_slice()))
                .await?;
            let manifest = json!({ "schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": config, "layers": [descriptor] });
            let manifest = RawManifest::new(media::OCI_MANIFEST, manifest.to_string().into_bytes());
            client
                .repo(&repository)
                .put(&Target::Tag("1".parse().unwrap()), &manifest)
                .await?;
            client
                .repo(&repository)
                .manifest(&Target::Tag("1".parse().unwrap()))
                .await
        })
    };
    let clean = fault_proxy(upstream, None);
    upload(clean.host(), format!("{repository}/clean")).unwrap();
    let requests = clean.seen().len();
    for fault in Fault::ALL {
        for index in 0..requests {
            let name = format!(
                "{repository}/{index}-{}",
                format!("{fault:?}").to_lowercase()
            );
            let proxy = fault_proxy(upstream, Some((index, fault)));
            let first = upload(proxy.host(), name.clone());
            // A manifest that is corrupted in transit is an error; the same request again succeeds.
            if let Err(error) = first {
                assert!(fault.corrupts(), "{fault:?} {index}: {error}");
                upload(proxy.host(), name).unwrap();
            }
        }
    }
}

#[test]
fn uploads_survive_every_fault_at_the_fake_registry() {
    let registry = FakeRegistry::start(Behaviour::default());
    survives_every_fault(&registry.host(), "faults");
}

#[test]
fn uploads_survive_every_fault_at_a_real_registry() {
    survives_every_fault(
        services::registry(),
        &format!("faults/t{}", std::process::id()),
    );
}

#[test]
fn an_interrupted_blob_download_is_resumed() {
    let registry = FakeRegistry::start(Behaviour::default());
    let (content, descriptor) = blob(200_000);
    run(client(&registry.host())
        .repo(&path("a"))
        .push_blob(&descriptor, &content))
    .unwrap();
    let proxy = fault_proxy(&registry.host(), Some((0, Fault::CutAnswer)));
    let read = run(async {
        let mut reader = client(&proxy.host())
            .repo(&path("a"))
            .read(&descriptor, 0)
            .await
            .unwrap();
        let mut all = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut all)
            .await
            .map(|_| all)
    });
    assert_eq!(read.unwrap(), content.to_vec());
    assert_eq!(proxy.seen().len(), 2);
    assert!(proxy.seen()[1].header("range").is_some());
}

#[test]
fn a_blob_with_a_wrong_digest_fails_at_its_end() {
    let registry = registry_with(|seen| {
        seen.path
            .contains("/blobs/")
            .then(|| Answer::new(200, "wrong"))
    });
    let descriptor = Descriptor::of(media::OCI_LAYER, b"right");
    let error = run(async {
        let mut reader = client(&registry.host())
            .repo(&path("a"))
            .read(&descriptor, 0)
            .await
            .unwrap();
        tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut Vec::new())
            .await
            .unwrap_err()
    });
    assert!(
        error.to_string().contains("does not have the digest"),
        "{error}"
    );
}

/// A token of another call may expire before this call uses it. That is not a refusal: this call
/// requests its own.
#[test]
fn a_shared_token_that_expired_is_renewed() {
    let issued = Arc::new(AtomicUsize::new(0));
    let (count, good) = (issued.clone(), issued);
    let tokens = Server::start(handler(move |_| {
        Answer::new(
            200,
            format!(r#"{{"token":"t{}"}}"#, count.fetch_add(1, Ordering::SeqCst)),
        )
    }));
    let challenge = format!(
        "Bearer realm=\"http://{}/token\",scope=\"repository:a:pull\"",
        tokens.host()
    );
    let registry = Server::start(Arc::new(move |seen: Seen| {
        let (good, challenge) = (good.clone(), challenge.clone());
        Box::pin(async move {
            let number = |sent: &str| sent.trim_start_matches("Bearer t").parse().unwrap_or(0);
            let sent: Option<usize> = seen.header("authorization").map(number);
            // The first token is valid only for the first manifest; the second for all but the
            // third, which learns that the first token expired only when the second exists.
            let wanted = seen.path.rsplit('/').next().unwrap().parse().unwrap();
            while (sent, wanted) == (Some(0), 2) && good.load(Ordering::SeqCst) < 2 {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            match sent {
                Some(sent) if sent >= wanted => Answer::new(200, "")
                    .header("docker-content-digest", Digest::of(b"x"))
                    .header("content-type", media::OCI_MANIFEST)
                    .header("content-length", 1),
                _ => Answer::new(401, "").header("www-authenticate", challenge),
            }
        })
    }));
    let (client, repository) = (client(&registry.host()), path("a"));
    let head = async |tag: &str| {
        client
            .repo(&repository)
            .head(&Target::Tag(tag.parse().unwrap()))
            .await
    };
    let (first, second, third) = run(async {
        let first = head("0").await;
        let (second, third) = tokio::join!(head("1"), head("2"));
        (first, second, third)
    });
    for found in [first, second, third] {
        assert!(found.unwrap().is_some());
    }
    assert_eq!(tokens.seen().len(), 3);
}
