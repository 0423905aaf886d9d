//! The kind of a manifest: an image, or an artifact that other tools store in registries next to
//! images.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Descriptor, RawManifest, media};
use crate::reference::{Digest, Tag};

/// The content of the empty config of an artifact.
pub const EMPTY: &[u8] = b"{}";
/// The media type of the empty config and of an empty layer.
pub const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";

/// The descriptor of the empty config.
#[must_use]
pub fn empty_config() -> Descriptor {
    Descriptor::of(EMPTY_TYPE, EMPTY)
}

/// The manifest of an artifact that refers to `subject`. It has an empty config and one layer.
#[must_use]
pub fn referring_manifest(
    artifact_type: &str,
    layer: &Descriptor,
    subject: &Descriptor,
    annotations: &impl Serialize,
) -> RawManifest {
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media::OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": empty_config(),
        "layers": [layer],
        "subject": Descriptor::new(&subject.media_type, subject.digest.clone(), subject.size),
        "annotations": annotations,
    });
    RawManifest::new(media::OCI_MANIFEST, manifest.to_string().into_bytes())
}

/// The kind of content of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArtifactKind {
    /// An image for one platform.
    Image,
    /// An index of images, one for each platform.
    Index,
    /// A signature of cosign, sigstore or notation.
    Signature,
    /// An attestation in the format of in-toto or DSSE.
    Attestation,
    /// A bill of materials in the format of SPDX, `CycloneDX` or Syft.
    Sbom,
    /// A Helm chart.
    HelmChart,
    /// An index of the manifests that refer to a manifest. Clients maintain it if the registry has
    /// no referrers API.
    Referrers,
    /// The results of build steps, for other engines.
    BuildCache,
    /// Any other artifact, with its type.
    #[serde(untagged)]
    Artifact(String),
}

impl fmt::Display for ArtifactKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image => f.write_str("image"),
            Self::Index => f.write_str("index"),
            Self::Signature => f.write_str("signature"),
            Self::Attestation => f.write_str("attestation"),
            Self::Sbom => f.write_str("SBOM"),
            Self::HelmChart => f.write_str("Helm chart"),
            Self::Referrers => f.write_str("list of referrers"),
            Self::BuildCache => f.write_str("build cache"),
            Self::Artifact(kind) => f.write_str(kind),
        }
    }
}

impl ArtifactKind {
    /// Detects the kind from the bytes of a manifest.
    #[must_use]
    pub fn of(raw: &RawManifest) -> Self {
        let value: Value = serde_json::from_slice(&raw.bytes).unwrap_or_default();
        if [media::OCI_INDEX, media::DOCKER_LIST].contains(&raw.media_type.as_str()) {
            return Self::of_index(&value);
        }
        let text = |pointer: &str| {
            value
                .pointer(pointer)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
        };
        let layers: Vec<&str> = list(&value, "layers")
            .filter_map(|layer| layer["mediaType"].as_str())
            .collect();
        let (config, declared) = (text("/config/mediaType"), text("/artifactType"));
        let is_config = config
            .is_some_and(|config| [media::OCI_CONFIG, media::DOCKER_CONFIG].contains(&config));
        let has_layers = !layers.is_empty() || declared.is_none();
        if is_config && has_layers && layers.iter().all(|layer| is_layer(layer)) {
            return Self::Image;
        }
        let predicate = text("/annotations/dev.sigstore.bundle.predicateType");
        let mut types = declared
            .into_iter()
            .chain(config)
            .chain(layers.iter().copied());
        let known = types.find_map(|kind| known(kind, predicate));
        let own = declared
            .or_else(|| config.filter(|_| !is_config))
            .or_else(|| layers.first().copied());
        known.unwrap_or_else(|| Self::Artifact(own.unwrap_or(&raw.media_type).to_owned()))
    }

    /// Detects the kind of an index. The entries of an index of images have no `artifactType`; each
    /// entry of a list of referrers has one.
    fn of_index(value: &Value) -> Self {
        let mut entries = list(value, "manifests").peekable();
        if let Some(declared) = value["artifactType"]
            .as_str()
            .filter(|text| !text.is_empty())
        {
            return known(declared, None).unwrap_or_else(|| Self::Artifact(declared.to_owned()));
        }
        let is_list = entries.peek().is_some()
            && entries
                .all(|entry| entry["artifactType"].is_string() && entry["platform"].is_null());
        if is_list {
            Self::Referrers
        } else {
            Self::Index
        }
    }

    /// The kind and digest of a tag that a tool derived from a digest: `sha256-…` is a list of
    /// referrers. cosign stores signatures, attestations and bills of materials as `sha256-….sig`,
    /// `.att` and `.sbom`.
    #[must_use]
    pub fn of_tag(tag: &Tag) -> Option<(Self, Digest)> {
        let (name, kind) = match tag.as_str().split_once('.') {
            None => (tag.as_str(), Self::Referrers),
            Some((name, "sig")) => (name, Self::Signature),
            Some((name, "att")) => (name, Self::Attestation),
            Some((name, "sbom")) => (name, Self::Sbom),
            Some(_) => return None,
        };
        Some((kind, name.replacen('-', ":", 1).parse().ok()?))
    }

    /// True if the content is an image or an index of images.
    #[must_use]
    pub const fn is_image(&self) -> bool {
        matches!(self, Self::Image | Self::Index)
    }
}

fn list<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    value[key].as_array().into_iter().flatten()
}

/// True if the media type is that of an image layer.
fn is_layer(media_type: &str) -> bool {
    [
        "application/vnd.oci.image.layer.",
        "application/vnd.docker.image.rootfs.",
    ]
    .iter()
    .any(|prefix| media_type.starts_with(prefix))
}

/// The kind for the media type of an artifact, its config or its content. `predicate` is the
/// predicate type of a sigstore bundle.
fn known(media_type: &str, predicate: Option<&str>) -> Option<ArtifactKind> {
    let contains_any = |words: &[&str]| words.iter().any(|word| media_type.contains(word));
    match () {
        () if contains_any(&["sigstore.bundle"]) => Some(match predicate {
            Some(predicate) if !predicate.contains("cosign/sign") => ArtifactKind::Attestation,
            _ => ArtifactKind::Signature,
        }),
        () if contains_any(&["spdx", "cyclonedx", "syft", "sbom"]) => Some(ArtifactKind::Sbom),
        () if contains_any(&["in-toto", "dsse", "attestation"]) => Some(ArtifactKind::Attestation),
        () if contains_any(&["simplesigning", "signature"]) => Some(ArtifactKind::Signature),
        () if contains_any(&["cncf.helm"]) => Some(ArtifactKind::HelmChart),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(artifact: &str, config: &str, layers: &[&str]) -> String {
        let layers: Vec<_> = layers
            .iter()
            .map(|layer| json!({ "mediaType": layer }))
            .collect();
        let manifest = json!({ "schemaVersion": 2, "artifactType": artifact, "config": { "mediaType": config }, "layers": layers });
        ArtifactKind::of(&RawManifest::new(
            media::OCI_MANIFEST,
            manifest.to_string().into_bytes(),
        ))
        .to_string()
    }

    #[test]
    fn a_manifest_is_an_image_or_an_artifact() {
        let empty = "application/vnd.oci.empty.v1+json";
        for (artifact, config, layers, expected) in [
            ("", media::OCI_CONFIG, &[media::OCI_LAYER_GZIP][..], "image"),
            (
                "",
                media::DOCKER_CONFIG,
                &[media::DOCKER_LAYER_GZIP, media::OCI_LAYER_ZSTD],
                "image",
            ),
            ("", media::OCI_CONFIG, &[], "image"),
            (
                "",
                media::OCI_CONFIG,
                &["application/vnd.dev.cosign.simplesigning.v1+json"],
                "signature",
            ),
            (
                "",
                media::OCI_CONFIG,
                &["application/vnd.dsse.envelope.v1+json"],
                "attestation",
            ),
            (
                "",
                media::OCI_CONFIG,
                &["application/vnd.in-toto+json"],
                "attestation",
            ),
            ("", media::OCI_CONFIG, &["text/spdx+json"], "SBOM"),
            (
                "",
                "application/vnd.cncf.notary.signature",
                &["application/jose+json"],
                "signature",
            ),
            (
                "application/vnd.cncf.notary.signature",
                empty,
                &["application/jose+json"],
                "signature",
            ),
            (
                "application/vnd.dev.sigstore.bundle.v0.3+json",
                empty,
                &["application/x"],
                "signature",
            ),
            (
                "application/vnd.cyclonedx+json",
                empty,
                &["application/vnd.cyclonedx+json"],
                "SBOM",
            ),
            (
                "",
                "application/vnd.cncf.helm.config.v1+json",
                &["application/x"],
                "Helm chart",
            ),
            (
                "application/vnd.example",
                empty,
                &[empty],
                "application/vnd.example",
            ),
            (
                "",
                "application/vnd.wasm.config.v0+json",
                &["application/wasm"],
                "application/vnd.wasm.config.v0+json",
            ),
            (
                "application/vnd.example",
                media::OCI_CONFIG,
                &[],
                "application/vnd.example",
            ),
        ] {
            assert_eq!(
                kind(artifact, config, layers),
                expected,
                "{artifact} {config} {layers:?}"
            );
        }
    }

    #[test]
    fn an_index_is_one_of_images_or_a_list_of_referrers() {
        let index = |entry: Value| {
            let index = json!({ "schemaVersion": 2, "manifests": [entry] }).to_string();
            ArtifactKind::of(&RawManifest::new(media::OCI_INDEX, index.into_bytes()))
        };
        assert_eq!(
            index(json!({ "platform": { "os": "linux" } })),
            ArtifactKind::Index
        );
        assert_eq!(
            index(json!({ "artifactType": "application/vnd.example" })),
            ArtifactKind::Referrers
        );
        assert_eq!(
            index(json!({ "artifactType": "x", "platform": { "os": "linux" } })),
            ArtifactKind::Index
        );
    }

    #[test]
    fn tags_derived_from_a_digest_are_recognised() {
        let hex = "0".repeat(64);
        let kind_and_digest = |tag: String| {
            ArtifactKind::of_tag(&tag.parse().unwrap())
                .map(|(kind, digest)| (kind.to_string(), digest.hex().to_owned()))
        };
        let expected = |kind: &str| Some((kind.to_owned(), hex.clone()));
        assert_eq!(
            kind_and_digest(format!("sha256-{hex}")),
            expected("list of referrers")
        );
        assert_eq!(
            kind_and_digest(format!("sha256-{hex}.sig")),
            expected("signature")
        );
        assert_eq!(
            kind_and_digest(format!("sha256-{hex}.att")),
            expected("attestation")
        );
        assert_eq!(
            kind_and_digest(format!("sha256-{hex}.sbom")),
            expected("SBOM")
        );
        for tag in ["1.2.3", "latest", "sha256-12", "edge.sig"] {
            assert_eq!(kind_and_digest(tag.to_owned()), None, "{tag}");
        }
    }
}
