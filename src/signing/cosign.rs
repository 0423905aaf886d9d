//! Adds signatures and attestations to the tags that cosign derives from a digest. Each one is a
//! layer of a manifest, so two manifests are merged by their layers.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::event::Events;
use crate::image;
use crate::oci::{Bytes, Descriptor, RawManifest, media};
use crate::reference::Tag;
use crate::registry::referrers::Superseded;
use crate::registry::{Error, Repo, Rewrites, Watch};

/// The result of copying the manifest under a tag of cosign.
pub(crate) enum SignatureCopy {
    /// The destination has its content. These manifests were replaced.
    Complete(Vec<Superseded>),
    /// The destination has a manifest that cannot be merged; it is left unchanged.
    Impossible,
    /// The merged manifest was put, but the registry serves another one.
    Unmerged,
}

/// Copies the manifest under a tag of cosign. Layers are added to an existing manifest of the
/// destination.
pub(crate) async fn copy(
    from: &Repo,
    to: &Repo,
    raw: &RawManifest,
    tag: &Tag,
    events: &Events,
) -> Result<SignatureCopy, Error> {
    image::copy(from, to, raw, events).await?;
    add(to, raw, tag).await
}

/// Puts a manifest of signatures or attestations under a tag of cosign. Its layers are added to an
/// existing manifest; its blobs must exist. A manifest without a config gets one.
pub(crate) async fn add(to: &Repo, raw: &RawManifest, tag: &Tag) -> Result<SignatureCopy, Error> {
    let mut polling = to.registry().polling();
    let mut rewrites = Rewrites::default();
    let mut watch = Watch::default();
    let mut replaced: Vec<Superseded> = Vec::new();
    loop {
        let existing = to.manifest(tag).await?;
        let seen = existing.as_ref().map(|existing| &existing.digest);
        let merge = existing
            .as_ref()
            .map_or_else(|| first(raw), |existing| merge(existing, raw));
        let merged = match merge {
            Merge::Complete if rewrites.wrote() && !watch.is_calm(seen, &polling).await => continue,
            Merge::Complete => {
                replaced.retain(|one| Some(&one.digest) != seen);
                return Ok(SignatureCopy::Complete(replaced));
            }
            Merge::Impossible => return Ok(SignatureCopy::Impossible),
            Merge::Add(merged) => merged,
        };
        if rewrites.calls_for(seen, &mut polling) {
            if let Some(config) = &merged.config {
                let descriptor = Descriptor::of(media::OCI_CONFIG, config);
                to.push_blob(&descriptor, &Bytes::from(config.clone()))
                    .await?;
                // The upload takes a moment, in which another client may have written the tag.
                let now = to.head(tag).await?.map(|found| found.digest);
                if now.as_ref() != seen && polling.again().await {
                    continue;
                }
            }
            drop(to.put_fresh(tag, &merged.manifest).await?);
            // Only a manifest with layers names the digest that it belongs to.
            let has_layers =
                |raw: &&RawManifest| layers(raw).is_some_and(|(_, all)| !all.is_empty());
            replaced.extend(existing.as_ref().filter(has_layers).map(|raw| Superseded {
                tag: tag.clone(),
                digest: raw.digest.clone(),
            }));
        }
        if !polling.again().await {
            return Ok(SignatureCopy::Unmerged);
        }
    }
}

/// A merged manifest, with its config if that is new.
struct MergedSignatures {
    manifest: RawManifest,
    config: Option<Vec<u8>>,
}

/// The result of merging two manifests.
enum Merge {
    /// The destination already has every layer.
    Complete,
    /// The destination needs more layers.
    Add(MergedSignatures),
    /// One of the manifests has layers other than signatures and attestations.
    Impossible,
}

/// The manifest to put if the tag does not exist.
fn first(raw: &RawManifest) -> Merge {
    let has_config = |fields: &Fields| fields.contains_key("config");
    match layers(raw) {
        Some((mut fields, layers)) if !has_config(&fields) => {
            with_layers(&mut fields, &layers).map_or(Merge::Impossible, Merge::Add)
        }
        _ => Merge::Add(MergedSignatures {
            manifest: raw.clone(),
            config: None,
        }),
    }
}

/// Adds the layers of `more` that `existing` lacks. The existing layers keep their bytes.
fn merge(existing: &RawManifest, more: &RawManifest) -> Merge {
    if existing.digest == more.digest {
        return Merge::Complete;
    }
    let (Some((mut fields, mut layers)), Some((_, others))) = (layers(existing), layers(more))
    else {
        return Merge::Impossible;
    };
    let missing: Vec<_> = others
        .into_iter()
        .filter(|other| !layers.iter().any(|layer| is_same(layer, other)))
        .collect();
    if missing.is_empty() {
        return Merge::Complete;
    }
    layers.extend(missing);
    with_layers(&mut fields, &layers).map_or(Merge::Impossible, Merge::Add)
}

type Fields = BTreeMap<String, Box<RawValue>>;

/// The fields and the layers of a manifest; `None` if a layer is neither a signature nor an
/// attestation.
fn layers(raw: &RawManifest) -> Option<(Fields, Vec<Box<RawValue>>)> {
    let fields: Fields = serde_json::from_slice(&raw.bytes).ok()?;
    let layers: Vec<Box<RawValue>> = serde_json::from_str(fields.get("layers")?.get()).ok()?;
    layers
        .iter()
        .all(|layer| can_coexist(layer))
        .then_some((fields, layers))
}

/// True if the layer is a signature or an attestation, of which a manifest may have several.
fn can_coexist(layer: &RawValue) -> bool {
    let value: Value = serde_json::from_str(layer.get()).unwrap_or_default();
    let kind = value["mediaType"].as_str().unwrap_or_default();
    ["simplesigning", "dsse", "in-toto"]
        .iter()
        .any(|word| kind.contains(word))
}

/// Compares the whole descriptors, because two signatures of one payload differ only in their
/// annotations.
fn is_same(one: &RawValue, other: &RawValue) -> bool {
    let value = |text: &RawValue| serde_json::from_str::<Value>(text.get()).unwrap_or_default();
    value(one) == value(other)
}

/// Builds the manifest with these layers, and a config that lists them.
fn with_layers(fields: &mut Fields, layers: &[Box<RawValue>]) -> Option<MergedSignatures> {
    let digests: Vec<Value> = layers
        .iter()
        .filter_map(|layer| {
            Some(serde_json::from_str::<Value>(layer.get()).ok()?["digest"].clone())
        })
        .collect();
    let config = serde_json::json!({ "architecture": "", "created": "0001-01-01T00:00:00Z", "os": "",
        "rootfs": { "type": "layers", "diff_ids": digests }, "config": {} });
    let config = serde_json::to_vec(&config).ok()?;
    let descriptor = Descriptor::of(media::OCI_CONFIG, &config);
    fields.insert(
        "config".to_owned(),
        serde_json::value::to_raw_value(&descriptor).ok()?,
    );
    fields.insert(
        "layers".to_owned(),
        serde_json::value::to_raw_value(layers).ok()?,
    );
    fields.insert(
        "mediaType".to_owned(),
        serde_json::value::to_raw_value(media::OCI_MANIFEST).ok()?,
    );
    let manifest = RawManifest::new(media::OCI_MANIFEST, serde_json::to_vec(fields).ok()?);
    Some(MergedSignatures {
        manifest,
        config: Some(config),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::reference::Digest;

    fn manifest(layers: &[(&str, &str)]) -> RawManifest {
        let layers: Vec<Value> = layers
            .iter()
            .map(|(kind, content)| json!({ "mediaType": kind, "digest": Digest::of(b"payload"), "size": 7, "annotations": { "signature": content } }))
            .collect();
        let manifest = json!({ "schemaVersion": 2, "config": {}, "layers": layers });
        RawManifest::new(media::OCI_MANIFEST, manifest.to_string().into_bytes())
    }

    #[test]
    fn missing_layers_are_added_and_existing_layers_are_kept() {
        let sig = "application/vnd.dev.cosign.simplesigning.v1+json";
        let (one, two) = (
            manifest(&[(sig, "one")]),
            manifest(&[(sig, "one"), (sig, "two")]),
        );
        assert!(matches!(merge(&two, &one), Merge::Complete));
        let Merge::Add(merged) = merge(&one, &two) else {
            panic!("nothing was added")
        };
        let value: Value = serde_json::from_slice(&merged.manifest.bytes).unwrap();
        let found: Vec<_> = value["layers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|layer| &layer["annotations"]["signature"])
            .collect();
        assert_eq!(found, ["one", "two"]);
        let config = Digest::of(&merged.config.unwrap()).to_string();
        assert_eq!(value["config"]["digest"], json!(config));
        let sbom = manifest(&[("text/spdx", "x")]);
        assert!(matches!(merge(&sbom, &one), Merge::Impossible));
        assert!(matches!(merge(&sbom, &sbom), Merge::Complete));
    }
}
