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

/// The number of requests that put the version tag.
fn puts(registry: &FakeRegistry) -> usize {
    let requests = registry.requests().into_iter();
    requests
        .filter(|line| *line == "PUT /v2/app/manifests/1.2.3")
        .count()
}

/// zot reports a missing layer as an invalid manifest, so the content is sent again. Another
/// refusal does not change.
#[test]
fn a_manifest_is_put_again_only_if_content_may_be_missing() {
    for (status, code, expected) in [
        (400, "MANIFEST_BLOB_UNKNOWN", 5),
        (400, "MANIFEST_INVALID", 2),
        (403, "DENIED", 1),
    ] {
        let registry = registry(move |seen| {
            let is_put = seen.method == "PUT" && seen.route().ends_with("/manifests/1.2.3");
            is_put.then(|| refuse(status, code, "refused"))
        });
        app(&registry).run(&["build", "--push"]).exit(1);
        assert_eq!(puts(&registry), expected, "{status} {code}");
        assert!(registry.tags("app").is_empty(), "{status} {code}");
    }
}

/// The last repair sends each blob, although the registry claims to have it.
#[test]
fn a_blob_that_the_registry_always_claims_to_have_is_uploaded_at_last() {
    let claims = Arc::new(AtomicBool::new(false));
    let sent = Arc::new(AtomicUsize::new(0));
    let (is_claimed, count) = (claims.clone(), sent.clone());
    let registry = registry(move |seen| {
        if !is_claimed.load(Ordering::SeqCst) {
            return None;
        }
        if seen.method == "PUT" && seen.route().contains("/blobs/uploads/") {
            count.fetch_add(1, Ordering::SeqCst);
        }
        if seen.method == "HEAD" && seen.route().contains("/blobs/sha256:") {
            return Some(crate::support::server::Answer::new(200, ""));
        }
        // The config is sent with the version, and both blobs are sent by the repair.
        let is_put = seen.method == "PUT" && seen.route().ends_with("/manifests/1.2.4");
        (is_put && count.load(Ordering::SeqCst) < 3)
            .then(|| refuse(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry"))
    });
    let golden = app(&registry);
    golden.run(&["build", "--push"]).exit(0);
    let spec = std::fs::read_to_string(golden.path().join("app/image.toml")).unwrap();
    let spec = spec.replace("1.2.3", "1.2.4").replace("\"x\"", "\"y\"");
    golden.write("app/image.toml", spec);
    claims.store(true, Ordering::SeqCst);
    golden.run(&["build", "--push"]).exit(0);
    assert_eq!(sent.load(Ordering::SeqCst), 3);
    assert!(registry.tags("app").contains_key("1.2.4"));
}

/// The images of an index are put again with their blobs. If the registry still misses a blob, the
/// next repair sends more; another error ends the publish.
#[test]
fn an_image_of_an_index_is_put_again_until_the_registry_has_its_blobs() {
    for (status, code, expected) in [
        (400, "MANIFEST_BLOB_UNKNOWN", (0, 3)),
        (403, "DENIED", (1, 2)),
    ] {
        let refused = AtomicUsize::new(0);
        let children = AtomicUsize::new(0);
        let registry = registry(move |seen| {
            if seen.method != "PUT" {
                return None;
            }
            if seen.route().ends_with("/manifests/1.2.3") {
                let is_refused = refused.fetch_add(1, Ordering::SeqCst) < 2;
                return is_refused.then(|| refuse(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown"));
            }
            // The first repair only waits.
            let is_repair =
                seen.route().contains("/manifests/sha256:") && refused.load(Ordering::SeqCst) == 2;
            (is_repair && children.fetch_add(1, Ordering::SeqCst) == 0)
                .then(|| refuse(status, code, "refused"))
        });
        let golden = app(&registry);
        let spec = std::fs::read_to_string(golden.path().join("app/image.toml")).unwrap();
        let platforms = "platforms = [\"linux/amd64\", \"linux/arm64\"]\n[[files]]";
        golden.write("app/image.toml", spec.replace("[[files]]", platforms));
        let run = golden.run(&["build", "--push"]);
        assert_eq!(
            (run.code, puts(&registry)),
            expected,
            "{code}: {}",
            run.stderr
        );
    }
}

/// A base may be in the repository of the image itself.
#[test]
fn a_blob_is_not_mounted_from_the_repository_that_lacks_it() {
    let armed = Arc::new(AtomicBool::new(false));
    let (is_armed, refused) = (armed.clone(), AtomicUsize::new(0));
    let registry = registry(move |seen| {
        if !is_armed.load(Ordering::SeqCst) {
            return None;
        }
        let is_put = seen.method == "PUT" && seen.route().ends_with("/manifests/1.2.3");
        if is_put && refused.fetch_add(1, Ordering::SeqCst) < 2 {
            return Some(refuse(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown"));
        }
        let asks = seen.method == "HEAD" && seen.route().contains("/blobs/sha256:");
        asks.then(|| refuse(404, "BLOB_UNKNOWN", "blob unknown"))
    });
    let labels = serde_json::json!({});
    registry.layered("app", "amd64", &["layer"], &labels, &["base"]);
    let base = format!("{}/app:base", registry.host());
    let spec = format!(
        "[image]\nname = \"app\"\nversion = \"1.2.3\"\nbase = \"{base}\"\nplatforms = [\"linux/amd64\"]\n"
    );
    let golden = app(&registry).image("app", &spec);
    armed.store(true, Ordering::SeqCst);
    golden.run(&["build", "--push"]).exit(0);
    assert_eq!(puts(&registry), 3);
    let requests = registry.requests();
    let mounts: Vec<&String> = requests
        .iter()
        .filter(|line| line.contains("mount="))
        .collect();
    assert_eq!(mounts, Vec::<&String>::new());
}

#[test]
fn verify_reports_content_that_the_registry_lost() {
    let lost: Arc<std::sync::OnceLock<String>> = Arc::default();
    let is_lost = lost.clone();
    let registry = registry(move |seen| {
        let digest = is_lost.get()?;
        let ending = format!("/manifests/{digest}");
        (seen.route().ends_with(&ending)).then(|| refuse(404, "MANIFEST_UNKNOWN", "unknown"))
    });
    let golden = app(&registry);
    let spec = std::fs::read_to_string(golden.path().join("app/image.toml")).unwrap();
    let platforms = "platforms = [\"linux/amd64\", \"linux/arm64\"]\n[[files]]";
    golden.write("app/image.toml", spec.replace("[[files]]", platforms));
    golden.run(&["build", "--push"]).exit(0);
    registry.layered(
        "app",
        "amd64",
        &["layer"],
        &serde_json::json!({}),
        &["other"],
    );
    let [image, other] = ["1.2.3", "other"].map(|tag| format!("{}/app:{tag}", registry.host()));
    let commands = [
        &["verify"][..],
        &["verify", "--deep", &image],
        &["verify", "--deep", &other],
    ];
    for arguments in commands {
        golden.run(arguments).exit(0);
    }
    let tagged = registry.tags("app");
    let is_tagged = |digest: &String| tagged.values().any(|tagged| tagged == digest);
    let mut children = registry.manifests("app").into_iter();
    let child = children.find(|digest| !is_tagged(digest)).unwrap();
    let blob = golden::reference::Digest::of(b"layer").to_string();
    lost.set(child.clone()).unwrap();
    registry.lose("app", &blob);
    golden.forget();
    let no_child = format!("{image}: {child}: the image of the index does not exist");
    let url = format!("http://{}/v2/app/blobs/{blob}", registry.host());
    let no_blob = "404 BLOB_UNKNOWN: blob unknown to the registry";
    let no_blob = format!("{other}: {blob}: GET {url}: {no_blob}");
    for (arguments, expected) in commands.into_iter().zip([&no_child, &no_child, &no_blob]) {
        let run = golden.run(arguments).exit(5);
        let shown = [run.stdout, run.stderr].concat();
        assert!(shown.lines().any(|line| line == expected), "{shown}");
    }
}
