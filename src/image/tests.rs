//! Images in memory: nested indexes, attestations and missing manifests.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::oci::{Bytes, Descriptor, RawManifest, media};
use crate::reference::Digest;

/// Manifests and configs in memory.
#[derive(Default)]
struct Memory(BTreeMap<Digest, Bytes>);

impl Source for Memory {
    type Error = String;

    async fn manifest(&self, descriptor: &Descriptor) -> Result<Option<RawManifest>, String> {
        let found = self.0.get(&descriptor.digest).cloned();
        Ok(found.map(|bytes| RawManifest::new(&descriptor.media_type, bytes)))
    }

    async fn metadata(&self, descriptor: &Descriptor) -> Result<Bytes, String> {
        let found = self.0.get(&descriptor.digest).cloned();
        found.ok_or_else(|| self.missing(&descriptor.digest))
    }

    fn missing(&self, digest: &Digest) -> String {
        format!("{digest} is missing")
    }

    fn unusable(&self, _: &Digest, problem: Error) -> String {
        problem.to_string()
    }
}

impl Memory {
    fn add(&mut self, raw: &RawManifest) -> Descriptor {
        self.0.insert(raw.digest.clone(), raw.bytes.clone());
        raw.descriptor()
    }

    /// An image whose version label and layer are `name`.
    fn image(&mut self, name: &str, media_type: &str) -> Descriptor {
        let layer = Descriptor::of(media::OCI_LAYER, name.as_bytes());
        let config = json!({ "architecture": "amd64", "config": { "Labels": { VERSION: name } } });
        self.with(&config, media_type, &[json!(layer)])
    }

    /// An image with this config and these layers.
    fn with(&mut self, config: &Value, media_type: &str, layers: &[Value]) -> Descriptor {
        let config = config.to_string().into_bytes();
        let descriptor = Descriptor::of(media_type, &config);
        self.0.insert(descriptor.digest.clone(), config.into());
        let manifest = json!({ "schemaVersion": 2, "config": descriptor, "layers": layers });
        self.add(&RawManifest::new(
            media::OCI_MANIFEST,
            manifest.to_string().into_bytes(),
        ))
    }

    fn index(&mut self, entries: &[Value]) -> RawManifest {
        let index = json!({ "schemaVersion": 2, "manifests": entries });
        let raw = RawManifest::new(media::OCI_INDEX, index.to_string().into_bytes());
        self.add(&raw);
        raw
    }
}

fn on(descriptor: &Descriptor, os: &str, annotations: Value) -> Value {
    let mut entry = json!(descriptor);
    entry["platform"] = json!({ "os": os, "architecture": "amd64" });
    entry["annotations"] = annotations;
    entry
}

/// An index whose first two entries are attestations, one by its platform and one by its
/// annotation, with the image in a nested index that is listed twice.
fn with_attestations() -> (Memory, RawManifest) {
    let mut memory = Memory::default();
    let image = memory.image("1.2.3", media::OCI_CONFIG);
    let nested = memory.index(&[on(&image, "linux", json!({}))]);
    let one = memory.image("attestation", media::OCI_CONFIG);
    let two = memory.image("annotated", media::OCI_CONFIG);
    let annotation = json!({ "vnd.docker.reference.type": "attestation-manifest" });
    let top = memory.index(&[
        on(&one, "unknown", json!({})),
        on(&two, "linux", annotation),
        json!(nested.descriptor()),
        json!(nested.descriptor()),
    ]);
    (memory, top)
}

fn versions(images: &[DescribedImage]) -> Vec<&str> {
    let versions = images.iter().map(|image| image.config.label(VERSION));
    versions.map(Option::unwrap_or_default).collect()
}

#[tokio::test]
async fn attestations_are_not_images_and_nested_images_are_found() {
    let (memory, top) = with_attestations();
    let described = Described::load(&memory, top.clone()).await.unwrap();
    assert_eq!(versions(&described.images), ["1.2.3"]);
    let config = first_config(&memory, &top).await.unwrap().unwrap();
    assert_eq!(config.label(VERSION), Some("1.2.3"));
    let platforms = platforms(&memory, &top).await.unwrap();
    let names: Vec<String> = platforms.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["linux/amd64"]);
    let chosen = choose(&memory, top, &"linux/amd64".parse().unwrap()).await;
    assert_eq!(chosen.unwrap().config.label(VERSION), Some("1.2.3"));
}

#[tokio::test]
async fn a_copy_has_every_manifest_and_blob_once_and_children_first() {
    let (memory, top) = with_attestations();
    let tree = Tree::whole(&memory, top.clone()).await.unwrap();
    assert_eq!(tree.children_first().count(), 5);
    assert_eq!(tree.children_first().last(), Some(&top));
    for (at, raw) in tree.children_first().enumerate() {
        let earlier: Vec<&Digest> = tree
            .children_first()
            .take(at)
            .map(|raw| &raw.digest)
            .collect();
        let children = children(raw);
        assert!(
            children
                .iter()
                .all(|child| earlier.contains(&&child.digest))
        );
    }
    // Three images with a config and a layer each.
    assert_eq!(tree.blobs(&memory).unwrap().len(), 6);
}

#[tokio::test]
async fn a_missing_manifest_is_an_error_only_for_a_copy() {
    let mut memory = Memory::default();
    let image = memory.image("1.2.3", media::OCI_CONFIG);
    let gone = Descriptor::of(media::OCI_MANIFEST, b"gone");
    let top = memory.index(&[json!(gone), json!(image)]);
    let described = Described::load(&memory, top.clone()).await.unwrap();
    assert_eq!(versions(&described.images), ["1.2.3"]);
    let error = Tree::whole(&memory, top).await.unwrap_err();
    assert_eq!(error, format!("{} is missing", gone.digest));
}

#[tokio::test]
async fn indexes_can_be_nested_eight_levels_deep() {
    let mut memory = Memory::default();
    let mut top = json!(memory.image("1.2.3", media::OCI_CONFIG));
    for depth in 1..=9 {
        let raw = memory.index(&[top]);
        let (tree, config, platforms) = (
            Tree::whole(&memory, raw.clone()).await,
            first_config(&memory, &raw).await,
            platforms(&memory, &raw).await,
        );
        assert_eq!(tree.is_ok(), depth <= 8, "{depth}");
        assert_eq!(config.is_ok(), depth <= 8, "{depth}");
        assert_eq!(platforms.is_ok(), depth <= 8, "{depth}");
        top = json!(raw.descriptor());
    }
}

/// The entry of an index that is chosen for a platform and the platform of its image, or the error.
/// An entry is the platform in the index, the version of the operating system, and the platform in
/// the config; `-` is none.
fn chosen(entries: &str, platform: &str) -> String {
    let mut memory = Memory::default();
    let entries: Vec<Value> = entries
        .split_terminator("; ")
        .map(|entry| {
            let [listed, version, inner]: [&str; 3] =
                entry.split(' ').collect::<Vec<_>>().try_into().unwrap();
            let object = |text: &str| {
                let mut parts = text.split('/');
                let mut object = json!({ "os": parts.next(), "architecture": parts.next() });
                if let Some(variant) = parts.next() {
                    object["variant"] = variant.into();
                }
                object
            };
            let mut config = object(inner);
            config["config"] = json!({ "Labels": { VERSION: entry } });
            let mut line = json!(memory.with(&config, media::OCI_CONFIG, &[]));
            if listed != "-" {
                line["platform"] = object(listed);
                if version != "-" {
                    line["platform"]["os.version"] = version.into();
                }
            }
            line
        })
        .collect();
    let top = memory.index(&entries);
    let platform = platform.parse().unwrap();
    let chosen = choose(&memory, top, &platform);
    match futures_util::FutureExt::now_or_never(chosen).unwrap() {
        Ok(chosen) => {
            let label = chosen.config.label(VERSION).unwrap_or_default();
            format!("{label} = {}", chosen.config.platform())
        }
        Err(error) => error,
    }
}

#[test]
fn an_image_is_chosen_by_platform_and_never_guessed() {
    for (entries, platform, expected) in [
        (
            "linux/amd64 - linux/amd64; linux/arm64 - linux/arm64",
            "linux/arm64",
            "linux/arm64 - linux/arm64 = linux/arm64",
        ),
        // The exact variant comes first, whatever the order of the index.
        (
            "linux/amd64 - linux/amd64; linux/amd64/v3 - linux/amd64",
            "linux/amd64/v3",
            "linux/amd64/v3 - linux/amd64 = linux/amd64/v3",
        ),
        // The index has no variant, and the config has the requested one.
        (
            "linux/amd64 - linux/amd64/v3",
            "linux/amd64/v3",
            "linux/amd64 - linux/amd64/v3 = linux/amd64/v3",
        ),
        (
            "linux/amd64 - linux/amd64",
            "linux/amd64/v3",
            "it is not for linux/amd64/v3; it is for linux/amd64",
        ),
        (
            "linux/amd64/v3 - linux/amd64",
            "linux/amd64",
            "it is not for linux/amd64; it is for linux/amd64/v3",
        ),
        // The index is wrong about its image.
        (
            "linux/amd64 - linux/arm64",
            "linux/amd64",
            "it is not for linux/amd64; it is for linux/arm64",
        ),
        (
            "linux/amd64/v3 - linux/amd64/v2",
            "linux/amd64/v3",
            "it is not for linux/amd64/v3; it is for linux/amd64/v2",
        ),
        (
            "linux/arm64 - linux/arm64; linux/s390x - linux/s390x; linux/arm64 - linux/arm64/v8",
            "linux/amd64",
            "it is not for linux/amd64; it is for linux/arm64, linux/s390x",
        ),
        // The index lists no platform.
        (
            "- - linux/arm64; - - linux/amd64",
            "linux/amd64",
            "- - linux/amd64 = linux/amd64",
        ),
        (
            "- - linux/arm64",
            "linux/amd64",
            "it is not for linux/amd64; the index lists no platform; its images are: linux/arm64 (from \
             the config)",
        ),
        // Several versions of Windows.
        (
            "windows/amd64 10.1 windows/amd64; windows/amd64 10.2 windows/amd64",
            "windows/amd64",
            "it has several images for windows/amd64: os.version 10.1, 10.2",
        ),
        (
            "windows/amd64 10.1 windows/amd64; linux/amd64 10.2 linux/amd64",
            "windows/amd64",
            "windows/amd64 10.1 windows/amd64 = windows/amd64",
        ),
        (
            "",
            "linux/amd64",
            "it holds no image; its index lists nothing",
        ),
    ] {
        assert_eq!(chosen(entries, platform), expected, "{entries} {platform}");
    }
}

#[tokio::test]
async fn an_index_of_artifacts_has_no_image() {
    let mut memory = Memory::default();
    let chart = memory.image("chart", "application/vnd.cncf.helm.config.v1+json");
    let one = memory.image("one", media::OCI_CONFIG);
    let two = memory.image("two", media::OCI_CONFIG);
    let top = memory.index(&[
        on(&one, "unknown", json!({})),
        on(&two, "unknown", json!({})),
        json!(chart),
    ]);
    let error = platforms(&memory, &top).await.unwrap_err();
    assert_eq!(
        error,
        "it holds no image; its index lists 1 × artifact of type \
         application/vnd.cncf.helm.config.v1+json, 2 × attestation"
    );
    let chart = RawManifest::new(media::OCI_MANIFEST, memory.0[&chart.digest].clone());
    assert!(platforms(&memory, &chart).await.unwrap().is_empty());
}

#[tokio::test]
async fn at_most_64_entries_without_a_platform_are_read() {
    for (count, is_read) in [(64, true), (65, false)] {
        let mut memory = Memory::default();
        let entries: Vec<Value> = (0..count)
            .map(|number| json!(memory.image(&number.to_string(), media::OCI_CONFIG)))
            .collect();
        let top = memory.index(&entries);
        let read = platforms(&memory, &top).await;
        assert_eq!(read.is_ok(), is_read, "{count}");
        if let Ok(read) = read {
            // The first of several images for a platform is used.
            let digests: Vec<String> = read.values().map(ToString::to_string).collect();
            assert_eq!(digests, [entries[0]["digest"].as_str().unwrap()]);
        }
    }
}

#[tokio::test]
async fn foreign_layers_are_not_copied() {
    let mut memory = Memory::default();
    let mut foreign = json!(Descriptor::of(media::OCI_LAYER, b"foreign"));
    foreign["urls"] = json!(["https://example.com/layer"]);
    let own = Descriptor::of(media::OCI_LAYER, b"own");
    let image = memory.with(&json!({}), media::OCI_CONFIG, &[foreign, json!(own)]);
    let top = memory.index(&[json!(image)]);
    let tree = Tree::whole(&memory, top).await.unwrap();
    let blobs = tree.blobs(&memory).unwrap();
    let config = Descriptor::of(media::OCI_CONFIG, b"{}");
    assert_eq!(
        blobs.iter().map(|blob| &blob.digest).collect::<Vec<_>>(),
        [&own.digest, &config.digest]
    );
}

#[tokio::test]
async fn only_the_followed_entries_are_read() {
    let (memory, top) = with_attestations();
    for (follow, count) in [(Follow::All, 5), (Follow::Images, 3), (Follow::Indexes, 2)] {
        let tree = Tree::load(&memory, top.clone(), follow).await.unwrap();
        assert_eq!(tree.children_first().count(), count, "{follow:?}");
    }
}

#[tokio::test]
async fn a_description_has_the_size_and_the_creation_time() {
    let (one, two) = ("2026-01-02T03:04:05Z", "2025-01-02T03:04:05Z");
    for (label, own, expected) in [
        (Some(one), two, Some(one)),
        (Some(""), two, Some(two)),
        (None, two, Some(two)),
        (None, "0001-01-01T00:00:00Z", None),
    ] {
        let mut memory = Memory::default();
        let labels = json!({ "org.opencontainers.image.created": label });
        let config = json!({ "created": own, "config": { "Labels": labels } });
        let layer = json!(Descriptor::of(media::OCI_LAYER, b"layer"));
        let image = memory.with(&config, media::OCI_CONFIG, &[layer.clone(), layer]);
        let raw = RawManifest::new(media::OCI_MANIFEST, memory.0[&image.digest].clone());
        let described = Described::load(&memory, raw.clone()).await.unwrap();
        assert_eq!(described.created(), expected, "{label:?} {own}");
        let size = raw.bytes.len() + config.to_string().len() + b"layer".len();
        assert_eq!(described.size(), size as u64);
        assert_eq!(described.artifact_blobs(), []);
    }
}

#[tokio::test]
async fn the_layers_of_an_artifact_are_its_blobs() {
    let mut memory = Memory::default();
    let layer = Descriptor::of(media::OCI_LAYER, b"chart");
    let kind = "application/vnd.cncf.helm.config.v1+json";
    let chart = memory.with(&json!({}), kind, &[json!(layer)]);
    let raw = RawManifest::new(media::OCI_MANIFEST, memory.0[&chart.digest].clone());
    let described = Described::load(&memory, raw.clone()).await.unwrap();
    assert_eq!(described.artifact_blobs(), [layer]);
    assert_eq!(described.size(), (raw.bytes.len() + b"chart".len()) as u64);
    assert_eq!(described.created(), None);
}
