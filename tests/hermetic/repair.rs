//! A repeated publish repairs content that a registry lost, and publishers of the same content do
//! not disturb each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::support::registry::{Behaviour, FakeRegistry, Instead, refuse};
use crate::support::server::Seen;
use crate::support::workspace::Golden;

fn registry(
    instead: impl Fn(&Seen) -> Option<crate::support::server::Answer> + Send + Sync + 'static,
) -> FakeRegistry {
    let instead: Instead = Arc::new(instead);
    FakeRegistry::start(Behaviour {
        instead: Some(instead),
        ..Behaviour::default()
    })
}

fn app(registry: &FakeRegistry) -> Golden {
    Golden::new()
        .workspace(&format!("[[registry]]\nname = \"t\"\nhost = \"{}\"\n", registry.host()))
        .env("SOURCE_DATE_EPOCH", "0")
        .image("app", "[image]\nname = \"app\"\nversion = \"1.2.3\"\nbase = \"scratch\"\n[[files]]\ncontent = \"x\"\ntarget = \"/x\"\n")
}

/// distribution still lists a tag whose manifest was deleted from its storage.
#[test]
fn a_tag_without_a_manifest_is_published_again() {
    for tag in ["1.2.3", "latest", "1"] {
        let lost = Arc::new(AtomicBool::new(false));
        let (is_lost, ending) = (lost.clone(), format!("/manifests/{tag}"));
        let registry = registry(move |seen| {
            if !seen.route().ends_with(&ending) || !is_lost.load(Ordering::SeqCst) {
                return None;
            }
            if seen.method == "PUT" {
                is_lost.store(false, Ordering::SeqCst);
                return None;
            }
            Some(refuse(404, "MANIFEST_UNKNOWN", "manifest unknown"))
        });
        let golden = app(&registry);
        golden.run(&["build", "--push"]).exit(0);
        let right = registry.tags("app");
        lost.store(true, Ordering::SeqCst);
        let plan = golden.run(&["plan"]).exit(0).stdout;
        assert!(plan.contains(&format!("create  {tag} ")), "{plan}");
        golden.run(&["build", "--push"]).exit(0);
        assert!(!lost.load(Ordering::SeqCst), "{tag} was put again");
        assert_eq!(registry.tags("app"), right);
        let run = golden.run(&["build", "--push"]).exit(0);
        assert!(run.stdout.contains("unchanged"), "{}", run.stdout);
    }
}

/// If the config is missing or unreadable, the same content is uploaded again, and different
/// content is refused.
#[test]
fn a_published_image_whose_config_is_lost_is_repaired_by_the_same_content() {
    for status in [404, 500] {
        let lost = Arc::new(AtomicBool::new(false));
        let is_lost = lost.clone();
        let registry = registry(move |seen| {
            if seen.method == "POST" {
                is_lost.store(false, Ordering::SeqCst);
            }
            let reads = ["GET", "HEAD"].contains(&seen.method.as_str())
                && seen.route().contains("/blobs/sha256:");
            let code = if status == 404 {
                "BLOB_UNKNOWN"
            } else {
                "UNKNOWN"
            };
            (reads && is_lost.load(Ordering::SeqCst)).then(|| refuse(status, code, "blob unknown"))
        });
        let golden = app(&registry);
        golden.run(&["build", "--push"]).exit(0);
        let right = registry.tags("app");
        golden.forget();
        lost.store(true, Ordering::SeqCst);
        let plan = golden.run(&["plan"]).exit(0).stdout;
        assert!(
            plan.contains("build: 1.2.3 is published, but the registry lost a part of it"),
            "{plan}"
        );
        golden.run(&["build", "--push"]).exit(0);
        assert!(!lost.load(Ordering::SeqCst), "a blob was uploaded");
        assert_eq!(registry.tags("app"), right);
        golden.forget();
        lost.store(true, Ordering::SeqCst);
        let spec = std::fs::read_to_string(golden.path().join("app/image.toml")).unwrap();
        golden.write("app/image.toml", spec.replace("\"x\"", "\"other\""));
        let run = golden.run(&["build", "--push"]).exit(4);
        assert!(
            run.stderr.contains("set version = \"1.2.4\""),
            "{}",
            run.stderr
        );
        assert_eq!(registry.tags("app"), right);
    }
}

#[test]
fn a_blob_whose_check_fails_is_uploaded() {
    let registry = registry(|seen| {
        let asks = seen.method == "HEAD" && seen.route().contains("/blobs/sha256:");
        asks.then(|| refuse(500, "UNKNOWN", "unknown error"))
    });
    app(&registry).run(&["build", "--push"]).exit(0);
    assert_eq!(registry.tags("app").len(), 4);
}

/// distribution may not see a blob for a moment when two publishers upload it at once, or may claim
/// a blob that it lost.
#[test]
fn a_manifest_is_put_again_if_the_registry_misses_its_blobs() {
    for (tag, times) in [("1.2.3", 1), ("1.2.3", 3), ("1", 2), ("latest", 1)] {
        let refused = Arc::new(AtomicUsize::new(0));
        let count = refused.clone();
        let registry = registry(move |seen| {
            let is_put =
                seen.method == "PUT" && seen.route().ends_with(&format!("/manifests/{tag}"));
            (is_put && count.fetch_add(1, Ordering::SeqCst) < times)
                .then(|| refuse(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry"))
        });
        app(&registry).run(&["build", "--push"]).exit(0);
        assert_eq!(registry.tags("app").len(), 4);
    }
}

#[test]
fn a_blob_that_the_registry_wrongly_claims_to_have_is_uploaded() {
    let honest = Arc::new(AtomicBool::new(false));
    let is_honest = honest.clone();
    let registry = registry(move |seen| {
        if seen.method == "POST" {
            is_honest.store(true, Ordering::SeqCst);
        }
        let asks = seen.method == "HEAD" && seen.route().contains("/blobs/sha256:");
        (asks && !is_honest.load(Ordering::SeqCst))
            .then(|| crate::support::server::Answer::new(200, ""))
    });
    app(&registry).run(&["build", "--push"]).exit(0);
    assert!(honest.load(Ordering::SeqCst));
    assert_eq!(registry.tags("app").len(), 4);
}
