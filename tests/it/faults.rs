//! Interrupted anywhere, the same command finishes; and with one publisher no moving tag is ever wrong on the way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use golden::reference::{Digest, Repository, Target};
use golden::registry::Registries;

use crate::support::breaker::{Fault, Proxy, Watcher};
use crate::support::publisher::{Image, Publisher, fresh_name};
use crate::support::services;

const FAULTS: [Fault; 6] =
    [Fault::CutBefore, Fault::CutAfter, Fault::Unavailable, Fault::Failed, Fault::Corrupt, Fault::Slow];

/// Looks at a repository after each change and remembers what was wrong.
struct Watch {
    repository: Repository,
    registries: Registries,
    versions: Vec<(Digest, String)>,
    highest: Mutex<BTreeMap<String, String>>,
    wrong: Mutex<Vec<String>>,
}

impl Watch {
    async fn look(&self) {
        let registry = self.registries.of(&self.repository).unwrap();
        let path = &self.repository.path;
        let tags = registry.tags(path).await.unwrap();
        for tag in &tags {
            let Some(found) = registry.head_manifest(path, &Target::from(tag)).await.unwrap() else {
                continue;
            };
            let version = self.versions.iter().find(|(digest, _)| *digest == found.digest);
            let Some((_, version)) = version else {
                self.wrong.lock().unwrap().push(format!("{tag} names something unknown"));
                continue;
            };
            if !tags.iter().any(|tag| tag.as_str() == version) {
                self.wrong.lock().unwrap().push(format!("{tag} is on {version}, which has no tag"));
            }
            let mut highest = self.highest.lock().unwrap();
            let before = highest.insert(tag.to_string(), version.clone());
            if before.is_some_and(|before| before > *version) {
                self.wrong.lock().unwrap().push(format!("{tag} went back to {version}"));
            }
        }
    }
}

/// One publish of 1.2.3 over 1.2.2 through a proxy that is broken as `fault` says, and then the same again.
async fn interrupted(proxy: &Proxy, at: usize, fault: Fault, on: bool) -> bool {
    let name = fresh_name("faults");
    let direct = Publisher::new(&[services::registry()], 3);
    let (old, new) = (Image::new(&name, "1.2.2"), Image::new(&name, "1.2.3"));
    direct.publish(&old).await.receipts();
    let watch = Arc::new(Watch {
        repository: direct.repository(&name),
        registries: direct.registries().clone(),
        versions: vec![(old.digest(), "1.2.2".into()), (new.digest(), "1.2.3".into())],
        highest: Mutex::default(),
        wrong: Mutex::default(),
    });
    let seen = Arc::clone(&watch);
    let watcher: Watcher = Arc::new(move || {
        let seen = Arc::clone(&seen);
        Box::pin(async move { seen.look().await })
    });
    proxy.watch(watcher);
    proxy.break_at(at, fault, on);
    let first = Publisher::new(&[&proxy.host], if on { 1 } else { 3 }).publish(&new).await;
    let reached = proxy.requests().len() > at;
    if !on && !matches!(fault, Fault::Corrupt) {
        assert!(first.result.is_ok(), "{fault:?} at {at}: {:?}", first.result);
    }
    proxy.heal();
    let again = Publisher::new(&[&proxy.host], 3).publish(&new).await;
    assert!(again.result.is_ok(), "{fault:?} at {at}: {:?}", again.result);
    let tags = direct.tags(&name).await;
    let newest: Vec<&str> =
        tags.iter().filter(|(_, digest)| **digest == new.digest()).map(|(tag, _)| tag.as_str()).collect();
    assert_eq!(newest, ["1", "1.2", "1.2.3", "latest"], "{fault:?} at {at}");
    assert_eq!(*watch.wrong.lock().unwrap(), Vec::<String>::new(), "{fault:?} at {at}");
    reached
}

/// Breaks request 0, 1, 2, … until a whole publish needs fewer.
async fn matrix(fault: Fault, on: bool) -> usize {
    let proxy = Proxy::start(services::registry()).await;
    let mut at = 0;
    while interrupted(&proxy, at, fault, on).await {
        at += 1;
        assert!(at < 200, "a publish never takes that many requests");
    }
    at
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_broken_request() {
    for fault in FAULTS {
        let requests = matrix(fault, false).await;
        assert!(requests > 15, "{fault:?}: only {requests} requests were broken");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_from_a_request_on() {
    for fault in [Fault::CutBefore, Fault::CutAfter, Fault::Failed] {
        let requests = matrix(fault, true).await;
        assert!(requests > 15, "{fault:?}: only {requests} requests were broken");
    }
}

#[tokio::test]
async fn an_image_that_is_up_to_date_costs_three_requests_and_two_with_the_cache() {
    let proxy = Proxy::start(services::registry()).await;
    let image = Image::new(&fresh_name("economy"), "1.2.3");
    Publisher::new(&[services::registry()], 3).publish(&image).await.receipts();
    let publisher = Publisher::new(&[&proxy.host], 3);
    for expected in [3, 2] {
        proxy.heal();
        assert_eq!(publisher.publish(&image).await.step(), "skip");
        assert_eq!(proxy.requests().len(), expected, "{:?}", proxy.requests());
    }
}
