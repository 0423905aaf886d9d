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
        let config = json!({ "architecture": "amd64", "config": { "Labels": { VERSION: name } } });
        let config = config.to_string().into_bytes();
        let descriptor = Descriptor::of(media_type, &config);
        self.0.insert(descriptor.digest.clone(), config.into());
        let layer = Descriptor::of(media::OCI_LAYER, name.as_bytes());
        let manifest = json!({ "schemaVersion": 2, "config": descriptor, "layers": [layer] });
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
        let (tree, config) = (
            Tree::whole(&memory, raw.clone()).await,
            first_config(&memory, &raw).await,
        );
        assert_eq!(tree.is_ok(), depth <= 8, "{depth}");
        assert_eq!(config.is_ok(), depth <= 8, "{depth}");
        top = json!(raw.descriptor());
    }
}
