//! Bases with every form of index that tools write: golden reads them as Docker does, or refuses
//! them and lists the entries.

use golden::oci::media;
use serde_json::{Value, json};

use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::workspace::{Golden, Run};

const BASE: &str = "base/b";

/// A registry with an image for amd64 and one for arm64, and the digests of the two images.
fn registry() -> (FakeRegistry, String, String) {
    let registry = FakeRegistry::start(Behaviour::default());
    let amd = registry.image_for(BASE, "amd64", "BASE=amd", &[]);
    let arm = registry.image_for(BASE, "arm64", "BASE=arm", &[]);
    (registry, amd, arm)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the callers pass a json! literal"
)]
fn entry(digest: &str, more: Value) -> Value {
    let mut entry = json!({ "mediaType": media::OCI_MANIFEST, "digest": digest, "size": 1 });
    entry
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    entry
}

fn index(entries: &[Value]) -> Value {
    json!({ "schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": entries })
}

/// Builds an image for `platform` on the base, in a new workspace.
fn build(registry: &FakeRegistry, platform: &str) -> (Golden, Run) {
    let golden = Golden::new().workspace("").image(
        "app",
        &format!(
            "[image]\nname = \"app\"\nversion = \"1.0.0\"\nbase = \"{}/{BASE}:1\"\nplatforms = [\"{platform}\"]\n",
            registry.host()
        ),
    );
    let run = golden.run(&["build", "--engine", "embedded", "--to", "oci:out"]);
    (golden, run)
}

/// The environment of the image that was written.
fn environment(golden: &Golden) -> Vec<String> {
    let read = |path: &str| -> Value {
        serde_json::from_reader(std::fs::File::open(golden.path().join("out").join(path)).unwrap())
            .unwrap()
    };
    let blob = |digest: &Value| {
        read(&format!(
            "blobs/{}",
            digest.as_str().unwrap().replace(':', "/")
        ))
    };
    let manifest = blob(&read("index.json")["manifests"][0]["digest"]);
    let config = blob(&manifest["config"]["digest"]);
    serde_json::from_value(config["config"]["Env"].clone()).unwrap()
}

#[track_caller]
fn assert_builds_on(registry: &FakeRegistry, platform: &str, environment_of_base: &str) {
    let (golden, run) = build(registry, platform);
    run.exit(0);
    let found = environment(&golden);
    assert!(
        found.iter().any(|variable| variable == environment_of_base),
        "{found:?}"
    );
}

#[track_caller]
fn assert_refused(registry: &FakeRegistry, platform: &str, message: &str) {
    let run = build(registry, platform).1.exit(1);
    assert!(run.stderr.contains(message), "{message}:\n{}", run.stderr);
}

#[test]
fn entries_without_a_platform_get_it_from_their_config() {
    let (registry, amd, arm) = registry();
    for more in [
        json!({}),
        json!({ "platform": {} }),
        json!({ "platform": null, "annotations": null, "urls": null }),
    ] {
        registry.manifest(
            BASE,
            media::OCI_INDEX,
            &index(&[entry(&arm, more.clone()), entry(&amd, more)]),
            &["1"],
        );
        assert_builds_on(&registry, "linux/amd64", "BASE=amd");
        assert_builds_on(&registry, "linux/arm64", "BASE=arm");
        assert_refused(
            &registry,
            "linux/s390x",
            "is not for linux/s390x; the index lists no platform; its images are: linux/arm64, linux/amd64 (from the config)",
        );
    }
}

#[test]
fn nested_indexes_are_followed() {
    let (registry, amd, arm) = registry();
    let mut child = registry.index_for(BASE, &[("arm64", &arm), ("amd64", &amd)], &[]);
    for _ in 0..6 {
        let nested = json!({ "mediaType": media::OCI_INDEX, "digest": child, "size": 1 });
        child = registry.manifest(
            BASE,
            media::OCI_INDEX,
            &index(&[nested.clone(), nested]),
            &["1"],
        );
    }
    assert_builds_on(&registry, "linux/amd64", "BASE=amd");
    assert_builds_on(&registry, "linux/arm64", "BASE=arm");
    for _ in 0..4 {
        let nested = json!({ "mediaType": media::OCI_INDEX, "digest": child, "size": 1 });
        child = registry.manifest(BASE, media::OCI_INDEX, &index(&[nested]), &["1"]);
    }
    assert_refused(
        &registry,
        "linux/amd64",
        "more than 8 levels of nested indexes",
    );
}

#[test]
fn attestations_and_artifacts_are_not_selected() {
    let (registry, amd, _) = registry();
    let artifact = registry.referrer(BASE, &amd, "sbom");
    let unknown = json!({ "platform": { "os": "unknown", "architecture": "unknown" } });
    let others = [
        entry(&artifact, json!({})),
        entry(&artifact, unknown),
        entry(
            &artifact,
            json!({ "artifactType": "application/spdx+json",
            "platform": { "os": "linux", "architecture": "amd64" } }),
        ),
        entry(
            &artifact,
            json!({ "annotations": { "vnd.docker.reference.type": "attestation-manifest" },
            "platform": { "os": "linux", "architecture": "amd64" } }),
        ),
    ];
    let image = entry(
        &amd,
        json!({ "platform": { "os": "linux", "architecture": "amd64" } }),
    );
    let all: Vec<Value> = others.iter().cloned().chain([image]).collect();
    registry.manifest(BASE, media::OCI_INDEX, &index(&all), &["1"]);
    assert_builds_on(&registry, "linux/amd64", "BASE=amd");

    registry.manifest(BASE, media::OCI_INDEX, &index(&others), &["1"]);
    assert_refused(
        &registry,
        "linux/amd64",
        "holds no image; its index lists 1 × artifact of type application/spdx+json",
    );
    registry.manifest(
        BASE,
        media::OCI_INDEX,
        &json!({ "schemaVersion": 2, "manifests": null }),
        &["1"],
    );
    assert_refused(
        &registry,
        "linux/amd64",
        "holds no image; its index lists nothing",
    );
    // A tag that points to an artifact.
    let tagged = json!({ "schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "layers": [],
        "config": { "mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": amd, "size": 1 } });
    registry.manifest(BASE, media::OCI_MANIFEST, &tagged, &["1"]);
    assert_refused(
        &registry,
        "linux/amd64",
        "it is an artifact of type application/vnd.cncf.helm.config.v1+json",
    );
}

#[test]
fn a_docker_manifest_list_with_variants_and_os_versions_is_read() {
    let (registry, amd, arm) = registry();
    let platform = |os: &str, architecture: &str, more: Value| {
        let mut platform = json!({ "os": os, "architecture": architecture, "features": ["sse4"] });
        platform
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json!({ "mediaType": media::DOCKER_MANIFEST, "platform": platform })
    };
    let list = json!({ "schemaVersion": 2, "mediaType": media::DOCKER_LIST, "manifests": [
        entry(&amd, platform("windows", "amd64", json!({ "os.version": "10.0.17763.1" }))),
        entry(&arm, platform("windows", "amd64", json!({ "os.version": "10.0.20348.2" }))),
        entry(&arm, platform("linux", "arm64", json!({ "variant": "v8" }))),
        entry(&amd, platform("linux", "amd64", json!({ "os.features": [] }))),
    ]});
    registry.manifest(BASE, media::DOCKER_LIST, &list, &["1"]);
    assert_builds_on(&registry, "linux/amd64", "BASE=amd");
    assert_builds_on(&registry, "linux/arm64", "BASE=arm");
    assert_refused(
        &registry,
        "windows/amd64",
        "several images for windows/amd64: os.version 10.0.17763.1, 10.0.20348.2",
    );
}
