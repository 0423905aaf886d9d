//! Reads an image for display: config, labels, layers and size of all platforms.

use std::collections::BTreeMap;

use super::error::FailureKind;
use super::{Error, Repo};
use crate::oci::artifact::ArtifactKind;
use crate::oci::{Descriptor, ImageConfig, ImageManifest, Manifest, RawManifest};
use crate::platform::Platform;
use crate::reference::{Digest, Target};

/// The maximum size of a config, in bytes.
const CONFIG: u64 = 8 * 1024 * 1024;

/// An image or an index, with the images that it consists of.
#[derive(Debug, Clone)]
pub struct Described {
    /// The manifest or index that was requested.
    pub raw: RawManifest,
    /// The kind of its content, such as an image or a signature.
    pub kind: ArtifactKind,
    /// The images, one per platform; one image if `raw` is not an index. Empty if `raw` is not an
    /// image.
    pub images: Vec<DescribedImage>,
}

/// One image of one platform.
#[derive(Debug, Clone)]
pub struct DescribedImage {
    /// The platform in the config.
    pub platform: Platform,
    /// The digest of its manifest.
    pub digest: Digest,
    /// The parsed manifest.
    pub manifest: ImageManifest,
    /// The parsed config.
    pub config: ImageConfig,
}

impl Described {
    /// Combines a manifest with the images below it.
    #[must_use]
    pub fn new(raw: RawManifest, images: Vec<DescribedImage>) -> Self {
        Self {
            kind: ArtifactKind::of(&raw),
            raw,
            images,
        }
    }

    /// The blobs of an artifact; empty for an image, whose blobs are in [`Self::images`].
    #[must_use]
    pub fn artifact_blobs(&self) -> Vec<Descriptor> {
        match self.raw.parse() {
            Ok(Manifest::Image(manifest)) if !self.kind.is_image() => manifest.layers,
            _ => Vec::new(),
        }
    }

    /// The total size in bytes of all manifests and blobs; a blob that is used twice counts once.
    #[must_use]
    pub fn size(&self) -> u64 {
        let blobs = self
            .images
            .iter()
            .flat_map(|image| image.manifest.layers.iter().chain([&image.manifest.config]));
        let artifact = self.artifact_blobs();
        let blobs = blobs.chain(&artifact);
        let blobs: BTreeMap<&Digest, u64> = blobs.map(|blob| (&blob.digest, blob.size)).collect();
        blobs.values().sum::<u64>() + self.raw.bytes.len() as u64
    }

    /// The creation time in RFC 3339, from the label or else from the config. `None` if it is
    /// unknown; Go writes an unknown time as year 1.
    #[must_use]
    pub fn created(&self) -> Option<&str> {
        self.written_created()
            .filter(|text| !text.starts_with("0001-"))
    }

    fn written_created(&self) -> Option<&str> {
        let config = &self.images.first()?.config;
        let own = config
            .as_object()
            .get("created")
            .and_then(serde_json::Value::as_str);
        config
            .label("org.opencontainers.image.created")
            .filter(|text| !text.is_empty())
            .or(own)
    }

    /// The version in the labels of the first image.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.images
            .first()?
            .config
            .label("org.opencontainers.image.version")
    }
}

impl Repo {
    /// Reads an image with its config, or every image of an index. Returns `None` if the target
    /// does not exist. Fails if a manifest or config cannot be read.
    pub async fn describe(&self, target: impl Into<Target>) -> Result<Option<Described>, Error> {
        let Some(raw) = self.manifest(target).await? else {
            return Ok(None);
        };
        // An index may list images that were never copied to this repository.
        let below = self.below(&raw, |child| !is_attestation(child)).await?;
        let mut images = Vec::new();
        for manifest in below.manifests.iter().chain([&raw]) {
            let parsed = self.parse(manifest)?;
            if let (Manifest::Image(image), ArtifactKind::Image) =
                (parsed, ArtifactKind::of(manifest))
            {
                images.extend(self.image(manifest.digest.clone(), image).await?);
            }
        }
        Ok(Some(Described::new(raw, images)))
    }

    /// Parses a manifest. The error contains its URL.
    pub fn parse(&self, raw: &RawManifest) -> Result<Manifest, Error> {
        let url = self.shown_url(&format!("manifests/{}", raw.digest));
        raw.parse()
            .map_err(|error| Error::new(FailureKind::Unsupported, "GET", &url, error.to_string()))
    }

    /// Reads the config of an image. Returns `None` if the config cannot be parsed.
    async fn image(
        &self,
        digest: Digest,
        manifest: ImageManifest,
    ) -> Result<Option<DescribedImage>, Error> {
        let bytes = self.blob(&manifest.config, CONFIG).await?;
        let Ok(config) = ImageConfig::parse(&bytes) else {
            return Ok(None);
        };
        Ok(Some(DescribedImage {
            platform: config.platform(),
            digest,
            manifest,
            config,
        }))
    }
}

/// BuildKit lists its attestations in an index as images.
fn is_attestation(child: &Descriptor) -> bool {
    child
        .annotations
        .get("vnd.docker.reference.type")
        .is_some_and(|kind| kind == "attestation-manifest")
}
