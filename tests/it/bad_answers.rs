//! Invalid answers of registries, proxies and captive portals, and the errors that golden reports.

use std::sync::Arc;

use golden::oci::media;
use golden::reference::Digest;
use serde_json::json;

use crate::support::curl::curl;
use crate::support::publisher::fresh_name;
use crate::support::registry::{Behaviour, FakeRegistry, refuse};
use crate::support::server::{Answer, Seen, Server, handler};
use crate::support::services;
use crate::support::workspace::Golden;

const FOUR: [&str; 4] = ["1.2.3", "1.2", "1", "latest"];

/// A registry with an image; `instead` replaces some of its answers.
fn registry_with(
    instead: impl Fn(&Seen) -> Option<Answer> + Send + Sync + 'static,
) -> FakeRegistry {
    let registry = FakeRegistry::start(Behaviour {
        instead: Some(Arc::new(instead)),
        ..Behaviour::default()
    });
    registry.image("app", "a", &FOUR);
    registry
}

/// Runs a command, with `{}` as the registry, and asserts that it fails with these words and names
/// the address.
#[track_caller]
fn fails(registry: &FakeRegistry, command: &str, words: &[&str]) {
    fails_at(&registry.host(), command, words);
}

#[track_caller]
fn fails_at(host: &str, command: &str, words: &[&str]) {
    let command = command.replace("{}", host);
    let golden = Golden::new().env("GOLDEN_REGISTRY_TIMEOUT", "2");
    let run = golden.run(&command.split(' ').collect::<Vec<_>>()).exit(1);
    for word in words.iter().chain([&host]) {
        assert!(
            run.stderr.contains(word),
            "{command}: not {word:?} in\n{}",
            run.stderr
        );
    }
    assert_eq!(run.stdout, "", "{command}");
    assert!(
        run.stderr.len() < 2000,
        "{command} says too much: {} bytes",
        run.stderr.len()
    );
}

fn manifest(body: impl Into<Vec<u8>>, kind: &str) -> Answer {
    Answer::new(200, body).header("content-type", kind)
}

/// Sends this answer to every GET of a manifest.
fn with_manifest(answer: Answer) -> FakeRegistry {
    registry_with(move |seen| {
        (seen.method == "GET" && seen.path.contains("/manifests/")).then(|| answer.clone())
    })
}

#[test]
fn a_manifest_with_a_wrong_digest_is_refused() {
    let other = Digest::of(b"other").to_string();
    let body = json!({ "schemaVersion": 2, "config": {}, "layers": [] }).to_string();
    let lying =
        with_manifest(manifest(body, media::OCI_MANIFEST).header("docker-content-digest", &other));
    for command in [
        "inspect {}/app:1.2.3",
        "verify {}/app:1.2.3",
        "promote {}/app:1.2.3 {}/copy",
    ] {
        fails(
            &lying,
            command,
            &[
                "GET http://",
                "the manifest does not have the digest",
                &other,
                "storage is damaged",
            ],
        );
    }
    fails(
        &lying,
        &format!("inspect {{}}/app@{other}"),
        &["the manifest does not have the digest"],
    );
}

/// A registry that reports another digest for a stored manifest: golden retries, then reports the
/// error.
#[test]
fn a_wrong_digest_in_the_answer_to_a_put_is_an_error() {
    let source = registry_with(|_| None);
    let other = Digest::of(b"other").to_string();
    for part in ["/manifests/", "/blobs/uploads/"] {
        let claimed = other.clone();
        let registry = registry_with(move |seen| {
            let stored = seen.method == "PUT" && seen.path.contains(part);
            stored.then(|| Answer::new(201, "").header("docker-content-digest", &claimed))
        });
        let command = format!("promote {}/app:1.2.3 {{}}/copy", source.host());
        fails(
            &registry,
            &command,
            &[
                "PUT http://",
                &format!("the registry stored {other} where sha256:"),
            ],
        );
        let puts = registry
            .server
            .seen()
            .iter()
            .filter(|seen| seen.method == "PUT" && seen.path.contains(part))
            .count();
        assert!(puts <= 4, "{puts} times");
    }
}

#[test]
fn a_manifest_of_a_hundred_megabytes_is_refused() {
    let large = with_manifest(manifest(vec![b' '; 100_000_000], media::OCI_MANIFEST));
    fails(
        &large,
        "inspect {}/app:1.2.3",
        &["the response is larger than 4096 KiB"],
    );
}

#[test]
fn json_that_is_not_a_manifest_is_an_error() {
    for (body, words) in [
        ("", "the manifest is not JSON: EOF"),
        ("{\"schemaVersion\":2,", "the manifest is not JSON"),
        ("null", "manifest"),
        ("[]", "manifest"),
        ("\"text\"", "manifest"),
        ("{}", "manifest"),
        ("{\"schemaVersion\":2}", "manifest"),
        (
            "{\"schemaVersion\":3,\"config\":{},\"layers\":[]}",
            "manifest",
        ),
        (
            "{\"schemaVersion\":2,\"config\":7,\"layers\":{}}",
            "manifest",
        ),
        (
            "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"x\",\"digest\":\"no\",\"size\":-1},\"layers\":[]}",
            "manifest",
        ),
    ] {
        let registry = with_manifest(manifest(body, media::OCI_MANIFEST));
        fails(&registry, "inspect {}/app:1.2.3", &["GET ", words]);
    }
    let nest = "[".repeat(100_000) + &"]".repeat(100_000);
    let deep = format!("{{\"schemaVersion\":2,\"layers\":{nest}}}");
    fails(
        &with_manifest(manifest(deep, media::OCI_MANIFEST)),
        "inspect {}/app:1.2.3",
        &["the manifest cannot be read"],
    );
}

#[test]
fn a_schema_1_manifest_is_refused() {
    for kind in [
        media::DOCKER_SCHEMA1,
        "application/json",
        media::OCI_MANIFEST,
    ] {
        let body =
            json!({ "schemaVersion": 1, "name": "app", "tag": "1", "fsLayers": [], "history": [] });
        let registry = with_manifest(manifest(body.to_string(), kind));
        for command in [
            "inspect {}/app:1.2.3",
            "promote {}/app:1.2.3 {}/copy",
            "delete {}/app:1.2.3 --yes",
        ] {
            fails(&registry, command, &["schema 1"]);
        }
    }
}

/// Every kind of request receives a web page as its answer.
#[test]
fn the_web_page_of_a_captive_portal_is_an_error() {
    let portal = Server::start(handler(|_| {
        Answer::new(
            200,
            "<!DOCTYPE html><html><body>please log in</body></html>",
        )
        .header("content-type", "text/html")
    }));
    let source = registry_with(|_| None);
    let promote = format!("promote {}/app:1.2.3 {{}}/copy", source.host());
    for command in [
        "ls {}",
        "ls {}/app",
        "inspect {}/app:1.2.3",
        "verify {}/app:1.2.3",
        "promote {}/app:1.2.3 {}/copy",
        "delete {}/app:1.2.3 --yes",
        "prune {}/app --keep 1 --yes",
        &promote,
    ] {
        fails_at(&portal.host(), command, &["web page", "a captive portal"]);
    }
    let token = Answer::new(401, "").header(
        "www-authenticate",
        format!("Bearer realm=\"http://{}/login\"", portal.host()),
    );
    let registry = registry_with(move |_| Some(token.clone()));
    let run = Golden::new().run(&["ls", &registry.host()]).exit(1);
    assert!(
        run.stderr
            .contains("the response of the token server is not JSON"),
        "{}",
        run.stderr
    );
}

#[test]
fn an_answer_that_is_not_a_list_is_an_error() {
    for (body, words) in [
        ("", "the response is not the JSON of a list"),
        ("[]", "the response is not the JSON of a list"),
        (
            "{\"tags\":\"latest\"}",
            "the response is not the JSON of a list",
        ),
        ("{\"tags\":[1,2]}", "the response is not the JSON of a list"),
    ] {
        let registry = registry_with(move |seen| {
            seen.path
                .contains("/tags/list")
                .then(|| Answer::new(200, body))
        });
        fails(&registry, "ls {}/app", &[words, "/v2/app/tags/list"]);
    }
    // Names that are not valid tags are skipped, because they cannot be requested.
    let registry = registry_with(|seen| {
        seen.path
            .contains("/tags/list")
            .then(|| Answer::new(200, r#"{"tags":["1.2.3","../../x","a b","","é"]}"#))
    });
    let run = Golden::new()
        .run(&["ls", &format!("{}/app", registry.host())])
        .exit(0);
    assert_eq!(run.stdout.lines().count(), 2, "{}", run.stdout);
}

#[test]
fn an_upload_without_location_and_a_redirect_loop_are_errors() {
    let source = registry_with(|_| None);
    let promote = format!("promote {}/app:1.2.3 {{}}/copy", source.host());
    let registry = registry_with(|seen| (seen.method == "POST").then(|| Answer::new(202, "")));
    fails(
        &registry,
        &promote,
        &["an upload was opened without a Location"],
    );
    let registry = registry_with(|seen| {
        let around = seen.method == "GET" && seen.path.contains("/blobs/");
        around.then(|| Answer::new(307, "").header("location", &seen.path))
    });
    fails(&registry, "inspect {}/app:1.2.3", &["too many redirects"]);
}

/// An index is shown, copied and deleted as an index. If one image is needed and none matches, an
/// error says so.
#[test]
fn an_index_without_a_matching_image_is_an_error() {
    let registry = FakeRegistry::start(Behaviour::default());
    let child = registry.image("base", "a", &[]);
    registry.index("base", &[&child], &["1.0.0"]);
    let empty = registry.index("empty", &[], &["1.0.0"]);
    let image = |base: &str, platform: &str| {
        let text = format!(
            "[image]\nname = \"app\"\nversion = \"1.0.0\"\nbase = \"{}/{base}\"\nplatforms = [\"{platform}\"]\n",
            registry.host()
        );
        Golden::new().workspace("").image("app", &text)
    };
    let build = ["build", "--engine", "embedded"];
    let run = image("empty:1.0.0", "linux/amd64").run(&build).exit(1);
    assert!(
        run.stderr
            .contains("empty:1.0.0 holds no image; its index lists nothing"),
        "{}",
        run.stderr
    );
    let run = image("base:1.0.0", "linux/s390x").run(&build).exit(1);
    assert!(
        run.stderr.contains("base") && run.stderr.contains("linux/s390x"),
        "{}",
        run.stderr
    );
    let host = registry.host();
    let run = Golden::new()
        .run(&["inspect", &format!("{host}/empty:1.0.0")])
        .exit(0);
    assert!(run.stdout.contains(&empty), "{}", run.stdout);
    for command in [
        "verify --deep {}/base:1.0.0",
        "ls {}/empty",
        "promote {}/base:1.0.0 {}/copy",
    ] {
        let command = command.replace("{}", &host);
        Golden::new()
            .run(&command.split(' ').collect::<Vec<_>>())
            .exit(0);
    }
}

/// An image whose config or layers are missing or damaged: `verify` finds damaged layers only with
/// --deep.
#[test]
fn missing_and_damaged_content_is_reported() {
    for (answer, words) in [
        (
            Answer::new(
                404,
                r#"{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown"}]}"#,
            ),
            "BLOB_UNKNOWN",
        ),
        (Answer::new(200, ""), "the content ends too early"),
        (
            Answer::new(200, "b"),
            "the content does not have the digest",
        ),
        (Answer::new(200, "ab"), "the content is longer than 1 bytes"),
    ] {
        // The layer of this image is the one byte `a`.
        let layer = Digest::of(b"a").to_string();
        let registry = registry_with(move |seen| {
            (seen.method == "GET" && seen.path.ends_with(&layer)).then(|| answer.clone())
        });
        let reference = format!("{}/app:1.2.3", registry.host());
        let golden = Golden::new().env("GOLDEN_REGISTRY_TIMEOUT", "1");
        golden.run(&["verify", &reference]).exit(0);
        let run = golden.run(&["verify", "--deep", &reference]).exit(5);
        assert!(run.stderr.contains(words), "{}", run.stderr);
    }
}

/// An unreadable image does not hide the other images of its repository.
#[test]
fn one_damaged_image_does_not_hide_the_others() {
    let other = Digest::of(b"b").to_string();
    let lost = other.clone();
    let registry = registry_with(move |seen| {
        let config =
            seen.method == "GET" && seen.path.contains("/blobs/") && !seen.path.ends_with(&lost);
        config.then(|| refuse(404, "BLOB_UNKNOWN", "blob unknown to registry"))
    });
    let run = Golden::new()
        .run(&["ls", &format!("{}/app", registry.host())])
        .exit(0);
    assert_eq!(run.stdout.lines().count(), 5, "{}", run.stdout);
    assert!(
        run.stderr.contains("warning: ") && run.stderr.contains("404 BLOB_UNKNOWN"),
        "{}",
        run.stderr
    );
}

/// An artifact without an image config cannot be audited, and is not reported as compliant.
#[test]
fn an_artifact_cannot_be_audited() {
    let registry = FakeRegistry::start(Behaviour {
        referrers: true,
        ..Behaviour::default()
    });
    let image = registry.image("app", "a", &FOUR);
    let signature = registry.referrer("app", &image, "signature");
    registry.index("empty", &[], &["1.0.0"]);
    let golden = Golden::new().workspace("");
    for name in [format!("app@{signature}"), "empty:1.0.0".to_owned()] {
        let reference = format!("{}/{name}", registry.host());
        let run = golden.run(&["audit", &reference]).exit(1);
        assert!(
            run.stderr.contains(&format!("{reference} is not an image")),
            "{}",
            run.stderr
        );
        golden.run(&["inspect", &reference]).exit(0);
        golden.run(&["verify", "--deep", &reference]).exit(0);
    }
}

/// An index published by golden that lacks an image is incomplete. A foreign index may have been
/// copied only in part.
#[test]
fn an_index_published_by_golden_that_lacks_an_image_is_incomplete() {
    let (name, host) = (fresh_name("torn"), services::registry());
    let golden = Golden::new()
        .workspace(&format!("[[registry]]\nname = \"t\"\nhost = \"{host}\"\nnamespace = \"torn\"\n"))
        .image(
            "app",
            &format!("[image]\nname = \"{name}\"\nversion = \"1.0.0\"\nbase = \"scratch\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n"),
        );
    golden
        .run(&["build", "--push", "--engine", "embedded"])
        .exit(0);
    golden.run(&["verify"]).exit(0);
    let index = curl("GET", host, &format!("torn/{name}/manifests/1.0.0")).json();
    let child = index["manifests"][1]["digest"].as_str().unwrap();
    assert_eq!(
        curl("DELETE", host, &format!("torn/{name}/manifests/{child}")).status,
        202
    );
    let run = golden.run(&["verify"]).exit(5);
    assert!(run.stderr.contains(child), "{}", run.stderr);
    golden
        .run(&["verify", &format!("{host}/torn/{name}:1.0.0")])
        .exit(5);
}

/// A registry whose storage lost or damaged a blob still answers HEAD with 200: only reading the
/// blob shows the damage.
#[test]
fn damaged_storage_of_a_real_registry_is_found() {
    let name = fresh_name("damaged");
    let host = services::registry();
    let table = format!("[[registry]]\nname = \"t\"\nhost = \"{host}\"\nnamespace = \"damaged\"\n");
    let image = format!(
        "[image]\nname = \"{name}\"\nversion = \"1.0.0\"\nbase = \"scratch\"\n[[files]]\ncontent = \"{name}\"\ntarget = \"/name\"\n"
    );
    let golden = Golden::new().workspace(&table).image("app", &image);
    golden
        .run(&["build", "--push", "--engine", "embedded"])
        .exit(0);
    golden.run(&["verify", "--deep"]).exit(0);
    let manifest = curl("GET", host, &format!("damaged/{name}/manifests/1.0.0")).json();
    let layer = manifest["layers"][0]["digest"].as_str().unwrap().to_owned();
    let hex = layer.strip_prefix("sha256:").unwrap();
    let blob = services::directory().join(format!(
        "registry-plain/docker/registry/v2/blobs/sha256/{}/{hex}/data",
        &hex[..2]
    ));
    #[expect(clippy::disallowed_methods, reason = "the registry owns this file")]
    let content = std::fs::read(&blob).unwrap();
    let mut changed = content.clone();
    changed[20] ^= 1;
    for damage in [changed, content[..10].to_vec(), Vec::new()] {
        #[expect(clippy::disallowed_methods, reason = "the registry owns this file")]
        std::fs::write(&blob, damage).unwrap();
        assert_eq!(
            curl("HEAD", host, &format!("damaged/{name}/blobs/{layer}")).status,
            200
        );
        golden.run(&["verify"]).exit(0);
        let golden = Golden::new()
            .workspace(&table)
            .image("app", &image)
            .env("GOLDEN_REGISTRY_TIMEOUT", "1");
        let run = golden.run(&["verify", "--deep"]).exit(5);
        assert!(
            run.stderr.contains(&format!("{name}:1.0.0: {layer}: ")),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn a_registry_that_accepts_no_writes_is_reported_with_possible_causes() {
    let source = registry_with(|_| None);
    for method in ["POST", "PUT"] {
        let registry = registry_with(move |seen| {
            (seen.method == method)
                .then(|| refuse(405, "UNSUPPORTED", "The operation is unsupported."))
        });
        let words = [
            &format!("{method} http://"),
            "405 UNSUPPORTED",
            "it is read-only, or a pull-through mirror",
        ];
        fails(
            &registry,
            &format!("promote {}/app:1.2.3 {{}}/copy", source.host()),
            &words,
        );
    }
}
