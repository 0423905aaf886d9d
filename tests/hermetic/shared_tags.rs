//! Several versions of one image in one run: they share moving tags, which never move back.

use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use golden::reference::Digest;

use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::server::Seen;
use crate::support::workspace::Golden;

/// A registry that delays the request `PUT /v2/app/manifests/{tag}` until `latest` exists.
fn delaying(tag: &str) -> Arc<FakeRegistry> {
    let registry: Arc<OnceLock<Weak<FakeRegistry>>> = Arc::default();
    let (found, route) = (registry.clone(), format!("/v2/app/manifests/{tag}"));
    let started = Arc::new(FakeRegistry::start(Behaviour {
        instead: Some(Arc::new(move |seen: &Seen| {
            let registry = found.get().and_then(Weak::upgrade)?;
            if seen.method == "PUT" && seen.route() == route {
                // The other requests are answered by another thread.
                tokio::task::block_in_place(|| wait_for_latest(&registry));
            }
            None
        })),
        ..Behaviour::default()
    }));
    registry.set(Arc::downgrade(&started)).unwrap();
    started
}

fn wait_for_latest(registry: &FakeRegistry) {
    let start = Instant::now();
    while !registry.tags("app").contains_key("latest") && start.elapsed() < Duration::from_secs(10)
    {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The lower version decides while the higher one does not exist, and moves its tags after the
/// higher one has moved `latest`.
#[test]
fn a_lower_version_of_the_same_run_does_not_move_a_tag_back() {
    let registry = delaying("1.9.0");
    let host = registry.host();
    let image = |version: &str| {
        format!("[image]\nname = \"app\"\nversion = \"{version}\"\nbase = \"scratch\"\n")
    };
    let run = Golden::new()
        .workspace(&format!("[[registry]]\nname = \"t\"\nhost = \"{host}\"\n"))
        .image("low", &image("1.9.0"))
        .image("high", &image("2.0.0"))
        .run(&["build", "--push", "--engine", "embedded"])
        .exit(0);
    let tags = registry.tags("app");
    let put_as_latest: Vec<String> = registry
        .server
        .seen()
        .iter()
        .filter(|seen| seen.method == "PUT" && seen.route() == "/v2/app/manifests/latest")
        .map(|seen| Digest::of(&seen.body).to_string())
        .collect();
    assert_eq!(put_as_latest, [tags["2.0.0"].clone()], "{}", run.stderr);
    assert_eq!(tags["1.9"], tags["1.9.0"]);
    assert_eq!(tags["1"], tags["1.9.0"]);
    assert_eq!(tags["2"], tags["2.0.0"]);
}
