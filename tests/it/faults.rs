//! An interrupted publish is completed by the same command, and with a single publisher no moving
//! tag is ever wrong.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use golden::engine::docker::Builder;
use golden::reference::{Digest, Repository, Tag};
use golden::registry::Registries;
use semver::Version;

use crate::auth::token_server;
use crate::support::logins::SECRET;
use crate::support::proxy::{Fault, FaultProxy, Watcher, fault_proxy, fault_proxy_with_tls};
use crate::support::publisher::{Image, Publisher, fresh_name};
use crate::support::services;
use crate::support::workspace::Golden;

/// Reads a repository after each change and records every violation.
struct Watch {
    repository: Repository,
    registries: Registries,
    /// The digest of each version tag; it never changes.
    versions: Mutex<BTreeMap<Version, Digest>>,
    /// The highest version that each moving tag has pointed to.
    highest: Mutex<BTreeMap<Tag, Version>>,
    wrong: Mutex<Vec<String>>,
}

impl Watch {
    /// Watches a repository of the plain registry.
    fn over(name: &str, namespace: &str) -> Arc<Self> {
        Self::at(RegistryKind::Plain, name, namespace)
    }

    /// Watches the repository directly, without the proxy.
    fn at(registry_kind: RegistryKind, name: &str, namespace: &str) -> Arc<Self> {
        let direct = Publisher::with(
            &[registry_kind.registry()],
            3,
            registry_kind.login(),
            registry_kind.ca().as_deref(),
        );
        let mut repository = direct.repository(name);
        repository.path = format!("{namespace}/{name}").parse().unwrap();
        Arc::new(Self {
            repository,
            registries: direct.registries().clone(),
            versions: Mutex::default(),
            highest: Mutex::default(),
            wrong: Mutex::default(),
        })
    }

    /// The callback of a proxy after each change.
    fn watcher(self: &Arc<Self>) -> Watcher {
        let watch = Arc::clone(self);
        Arc::new(move || {
            let watch = Arc::clone(&watch);
            Box::pin(async move { drop(watch.check_tags().await) })
        })
    }

    /// Checks every moving tag; returns the version that each one points to.
    async fn check_tags(&self) -> BTreeMap<String, Version> {
        let repo = self.registries.repo(&self.repository);
        let tags = repo.tags().await.unwrap();
        let head = async |tag: &Tag| repo.head(tag).await.unwrap();
        let (versions, moving): (Vec<Tag>, Vec<Tag>) = tags
            .into_iter()
            .partition(|tag| tag.as_str().parse::<Version>().is_ok());
        for tag in versions {
            let version = tag.as_str().parse().unwrap();
            if !self.versions.lock().unwrap().contains_key(&version)
                && let Some(found) = head(&tag).await
            {
                self.versions.lock().unwrap().insert(version, found.digest);
            }
        }
        let mut on = BTreeMap::new();
        for tag in moving {
            let Some(found) = head(&tag).await else {
                continue;
            };
            let version = {
                let versions = self.versions.lock().unwrap();
                versions
                    .iter()
                    .find(|(_, digest)| **digest == found.digest)
                    .map(|(version, _)| version.clone())
            };
            let Some(version) = version else {
                self.wrong
                    .lock()
                    .unwrap()
                    .push(format!("{tag} is on an image without a version's tag"));
                continue;
            };
            let before = self
                .highest
                .lock()
                .unwrap()
                .insert(tag.clone(), version.clone());
            if before.is_some_and(|before| before > version) {
                self.wrong
                    .lock()
                    .unwrap()
                    .push(format!("{tag} went back to {version}"));
            }
            on.insert(tag.to_string(), version);
        }
        on
    }

    /// Asserts that no violation was recorded, and that all three moving tags point to `version`.
    async fn assert_finished(&self, version: &Version, what: &str) {
        let on = self.check_tags().await;
        let expected = ["1", "1.2", "latest"].map(|tag| (tag.to_owned(), version.clone()));
        assert_eq!(on, BTreeMap::from(expected), "{what}");
        assert_eq!(*self.wrong.lock().unwrap(), Vec::<String>::new(), "{what}");
    }
}

/// The kind of registry, and of publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RegistryKind {
    /// A registry without authentication.
    Plain,
    /// The same, with a Docker Engine that pushes the first tag.
    Engine,
    /// A registry with passwords.
    Passwords,
    /// A registry with tokens.
    Tokens,
    /// A registry with TLS.
    Tls,
    /// The same, with HTTP/2.
    Http2,
}

impl RegistryKind {
    fn registry(self) -> &'static str {
        match self {
            Self::Plain | Self::Engine => services::registry(),
            Self::Passwords => services::registry_htpasswd(),
            Self::Tokens => {
                token_server();
                services::registry_token()
            }
            Self::Tls | Self::Http2 => services::registry_tls(),
        }
    }

    fn login(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Plain | Self::Engine | Self::Tls | Self::Http2 => None,
            Self::Passwords => Some((services::htpasswd_user(), services::htpasswd_password())),
            Self::Tokens => Some(("robot", SECRET)),
        }
    }

    fn ca(self) -> Option<PathBuf> {
        matches!(self, Self::Tls | Self::Http2).then(services::tls_ca)
    }

    /// A proxy with the protocol of the registry.
    fn proxy(self) -> FaultProxy {
        match self {
            Self::Tls | Self::Http2 => fault_proxy_with_tls(self.registry(), self == Self::Http2),
            _ => fault_proxy(self.registry(), None),
        }
    }

    async fn publisher(self, host: &str, attempts: u32) -> Publisher {
        let publisher = Publisher::with(&[host], attempts, self.login(), self.ca().as_deref());
        if self == Self::Engine {
            publisher.through(crate::docker::recipe::docker(Builder::Classic).await)
        } else {
            publisher
        }
    }
}

/// Injects `fault` into request 0, 1, 2, … of a publish of one version over another, until a
/// publish needs fewer requests. After each fault, the same command must complete the publish. With
/// `on`, all later requests fail too, as in a network outage. Returns the number of requests.
async fn fail_each_request(fault: Fault, on: bool, registry_kind: RegistryKind) -> usize {
    let proxy = registry_kind.proxy();
    if registry_kind == RegistryKind::Engine {
        proxy.spare_engines();
    }
    let name = fresh_name("faults");
    let watch = Watch::at(registry_kind, &name, "golden");
    proxy.watch(watch.watcher());
    let version = |patch| Version::new(1, 2, patch);
    let image = |patch| Image::new(&name, &version(patch).to_string());
    registry_kind
        .publisher(&proxy.host(), 3)
        .await
        .publish(&image(0))
        .await
        .receipts();
    for at in 0..200 {
        let what = format!("{registry_kind:?}: {fault:?} at {at}, on: {on}");
        let new = image(at as u64 + 1);
        proxy.break_at(at, fault, on);
        let attempts = if on { 1 } else { 3 };
        let first = registry_kind
            .publisher(&proxy.host(), attempts)
            .await
            .publish(&new)
            .await;
        let reached = proxy.requests().len() > at;
        if !on && !fault.corrupts() {
            assert!(first.result.is_ok(), "{what}: {:?}", first.result);
        }
        proxy.heal();
        let again = registry_kind
            .publisher(&proxy.host(), 3)
            .await
            .publish(&new)
            .await;
        assert!(again.result.is_ok(), "{what}: {:?}", again.result);
        watch.assert_finished(&version(at as u64 + 1), &what).await;
        if !reached {
            return at;
        }
    }
    panic!("a publish never takes that many requests")
}

/// One fault of each kind: cut before and after, slow, refused, failed, and corrupted both ways.
/// `registry` injects the faults within a body into every request of an upload.
const KINDS: [Fault; 7] = [
    Fault::CutBefore,
    Fault::CutAfter,
    Fault::Late,
    Fault::Unavailable,
    Fault::Failed,
    Fault::CorruptRequest,
    Fault::CorruptAnswer,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_failing_request_does_not_break_a_publish() {
    for fault in KINDS {
        let requests = fail_each_request(fault, false, RegistryKind::Plain).await;
        assert!(requests > 15, "{fault:?}: only {requests} requests failed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_that_loses_its_network_is_completed_later() {
    for fault in [Fault::CutBefore, Fault::CutAfter, Fault::Failed] {
        let requests = fail_each_request(fault, true, RegistryKind::Plain).await;
        assert!(requests > 15, "{fault:?}: only {requests} requests failed");
    }
}

/// The requests that golden sends itself when an engine pushes the first tag.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_requests_do_not_break_a_push_by_an_engine() {
    for (fault, on) in [(Fault::Failed, false), (Fault::CutAfter, true)] {
        let requests = fail_each_request(fault, on, RegistryKind::Engine).await;
        assert!(requests > 10, "{fault:?}: only {requests} requests failed");
    }
}

/// The requests with a login, and those repeated after a challenge.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_requests_do_not_break_a_publish_with_a_login() {
    for (fault, registry_kind) in [
        (Fault::CutAfter, RegistryKind::Passwords),
        (Fault::Unavailable, RegistryKind::Passwords),
        (Fault::CutAfter, RegistryKind::Tokens),
        (Fault::Failed, RegistryKind::Tokens),
    ] {
        let requests = fail_each_request(fault, false, registry_kind).await;
        assert!(
            requests > 15,
            "{registry_kind:?}: {fault:?}: only {requests} requests failed"
        );
    }
}

/// Faults within TLS. The proxy speaks TLS on both sides; golden uses HTTP/2 where the server
/// offers it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_requests_do_not_break_a_publish_over_tls() {
    for (fault, on, registry_kind) in [
        (Fault::CutAfter, false, RegistryKind::Tls),
        (Fault::Unavailable, false, RegistryKind::Tls),
        (Fault::Failed, false, RegistryKind::Tls),
        (Fault::CutAnswer, false, RegistryKind::Tls),
        (Fault::Garbled, false, RegistryKind::Tls),
        (Fault::CutBefore, true, RegistryKind::Tls),
        (Fault::CutAfter, false, RegistryKind::Http2),
        (Fault::Garbled, false, RegistryKind::Http2),
    ] {
        let requests = fail_each_request(fault, on, registry_kind).await;
        assert!(
            requests > 15,
            "{registry_kind:?}: {fault:?}: only {requests} requests failed"
        );
    }
}

/// The real binary in a workspace whose registry is behind a proxy.
struct Command {
    golden: Golden,
    name: String,
    watch: Arc<Watch>,
    proxy: FaultProxy,
}

impl Command {
    fn new() -> Self {
        let proxy = fault_proxy(services::registry(), None);
        let name = fresh_name("killed");
        let watch = Watch::over(&name, "killed");
        proxy.watch(watch.watcher());
        let table = format!(
            "[[registry]]\nname = \"t\"\nhost = \"{}\"\nnamespace = \"killed\"\n",
            proxy.host()
        );
        Self {
            golden: Golden::new()
                .workspace(&table)
                .env("SOURCE_DATE_EPOCH", "0"),
            name,
            watch,
            proxy,
        }
    }

    fn version(&self, version: &Version) {
        let text = format!(
            "[image]\nname = \"{}\"\nversion = \"{version}\"\nbase = \"scratch\"\n",
            self.name
        );
        self.golden.write("app/image.toml", text);
    }

    /// Runs `build --push` and kills it when `until` returns; the command may have finished before.
    fn killed(&self, until: impl FnOnce()) {
        let mut command = self.golden.command(&["build", "--push", "-q"]);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        until();
        drop(child.kill());
        child.wait().unwrap();
    }

    /// The same command completes the publish, with every tag correct.
    async fn assert_completes(&self, version: &Version, what: &str) {
        drop(self.watch.check_tags().await);
        self.golden.run(&["build", "--push"]).exit(0);
        self.watch.assert_finished(version, what).await;
        self.golden.run(&["verify"]).exit(0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_that_is_killed_at_any_request_is_completed_later() {
    let command = Command::new();
    let version = |patch| Version::new(1, 2, patch);
    command.version(&version(0));
    command.golden.run(&["build", "--push"]).exit(0);
    for at in 0..100 {
        command.version(&version(at as u64 + 1));
        // The registry has handled the request, but its answer has not arrived yet.
        command.proxy.break_at(at, Fault::Held, true);
        let started = Instant::now();
        let arrived = || command.proxy.requests().len() > at;
        command.killed(|| {
            while !arrived() && started.elapsed() < Duration::from_secs(3) {
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        let reached = arrived();
        command.proxy.heal();
        command
            .assert_completes(&version(at as u64 + 1), &format!("killed at request {at}"))
            .await;
        if !reached {
            assert!(at > 15, "only {at} requests");
            return;
        }
    }
    panic!("a publish never takes that many requests");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_that_is_killed_at_any_moment_is_completed_later() {
    let command = Command::new();
    let mut whole = Duration::ZERO;
    for patch in 0..16 {
        let version = Version::new(1, 2, patch);
        command.version(&version);
        if patch == 0 {
            let started = Instant::now();
            command.golden.run(&["build", "--push"]).exit(0);
            whole = started.elapsed();
        } else {
            let after = whole.mul_f64(fastrand::f64() * 1.1);
            command.killed(|| std::thread::sleep(after));
            command
                .assert_completes(&version, &format!("killed after {after:?}"))
                .await;
        }
    }
}

/// A changed byte that keeps a manifest valid, so that the registry accepts it: golden sees the
/// wrong digest in the answer and puts the right manifest at once.
#[tokio::test]
async fn a_manifest_that_was_corrupted_in_transit_is_put_again() {
    let name = fresh_name("changed");
    let image = Image::new(&name, "1.2.3");
    for nth in 0..4 {
        let count = std::sync::atomic::AtomicUsize::new(0);
        let upstream = services::registry();
        let changed = image.clone().content(&nth.to_string());
        let proxy = crate::support::proxy::rewriting(upstream, move |seen| {
            let is_manifest = seen.method == "PUT" && seen.path.contains("/manifests/");
            if is_manifest && count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == nth {
                // The last digit belongs to the size of the layer, which no registry compares.
                if let Some(digit) = seen
                    .body
                    .iter_mut()
                    .rev()
                    .find(|byte| byte.is_ascii_digit())
                {
                    *digit ^= 1;
                }
            }
        });
        let publisher = Publisher::new(&[&proxy.host()], 3);
        let repeated = Image {
            name: format!("{name}-{nth}"),
            ..changed
        };
        publisher.publish(&repeated).await.receipts();
        let tags = publisher.tags(&repeated.name).await;
        assert_eq!(tags.len(), 4);
        assert!(
            tags.values().all(|digest| *digest == repeated.digest()),
            "{nth}: {tags:?}"
        );
    }
}

#[tokio::test]
async fn an_up_to_date_image_needs_one_list_and_one_head_per_tag() {
    let proxy = fault_proxy(services::registry(), None);
    let image = Image::new(&fresh_name("economy"), "1.2.3");
    Publisher::new(&[services::registry()], 3)
        .publish(&image)
        .await
        .receipts();
    let publisher = Publisher::new(&[&proxy.host()], 3);
    for expected in [7, 5] {
        proxy.heal();
        assert_eq!(publisher.publish(&image).await.step(), "skip");
        assert_eq!(proxy.requests().len(), expected, "{:?}", proxy.requests());
    }
}
