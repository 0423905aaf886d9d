//! An image as people want to see it: config, labels, layers, size, all its platforms.

use std::collections::BTreeMap;

use super::error::FailureKind;
use super::{Error, Registry};
use crate::oci::artifact::ArtifactKind;
use crate::oci::{Descriptor, ImageConfig, ImageManifest, Manifest, RawManifest};
use crate::platform::Platform;
use crate::reference::{Digest, RepositoryPath, Target};

/// A config may be this large.
const CONFIG: u64 = 8 * 1024 * 1024;

/// An image or an index, with what belongs to it.
#[derive(Debug, Clone)]
pub struct Described {
    /// The manifest that was asked for.
    pub raw: RawManifest,
    /// What it holds.
    pub kind: ArtifactKind,
    /// Its images, one a platform; a single one unless it is an index. Empty for what is no image.
    pub images: Vec<DescribedImage>,
}

/// One image.
#[derive(Debug, Clone)]
pub struct DescribedImage {
    /// Its platform.
    pub platform: Platform,
    /// The digest of its manifest.
    pub digest: Digest,
    /// The manifest.
    pub manifest: ImageManifest,
    /// The config.
    pub config: ImageConfig,
}

impl Described {
    /// A manifest with the images below it, as far as it holds images.
    #[must_use]
    pub fn new(raw: RawManifest, images: Vec<DescribedImage>) -> Self {
        Self {
            kind: ArtifactKind::of(&raw),
            raw,
            images,
        }
    }

    /// The blobs of an artifact; of an image, they are those of [`Self::images`].
    #[must_use]
    pub fn artifact_blobs(&self) -> Vec<Descriptor> {
        match self.raw.parse() {
            Ok(Manifest::Image(manifest)) if !self.kind.is_image() => manifest.layers,
            _ => Vec::new(),
        }
    }

    /// Bytes of everything that the image consists of, each counted once.
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

    /// When it was made, RFC 3339: the label, else the config. Go writes an unknown time as the year 1.
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

    /// The version that its labels tell.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.images
            .first()?
            .config
            .label("org.opencontainers.image.version")
    }
}

impl Registry {
    /// Reads an image with its config; of an index, every image. None when there is none.
    pub async fn describe(
        &self,
        repository: &RepositoryPath,
        target: &Target,
    ) -> Result<Option<Described>, Error> {
        let Some(raw) = self.get_manifest(repository, target).await? else {
            return Ok(None);
        };
        // An index may name images that were never copied here.
        let below = self
            .below(repository, &raw, |child| !is_attestation(child))
            .await?;
        let mut images = Vec::new();
        for manifest in below.manifests.iter().chain([&raw]) {
            let parsed = self.parse(repository, manifest)?;
            if let (Manifest::Image(image), ArtifactKind::Image) =
                (parsed, ArtifactKind::of(manifest))
            {
                images.extend(
                    self.image(repository, manifest.digest.clone(), image)
                        .await?,
                );
            }
        }
        Ok(Some(Described::new(raw, images)))
    }

    /// Reads a manifest's text; an error names the address.
    pub fn parse(&self, repository: &RepositoryPath, raw: &RawManifest) -> Result<Manifest, Error> {
        let url = format!("{}/v2/{repository}/manifests/{}", self.host(), raw.digest);
        raw.parse()
            .map_err(|error| Error::new(FailureKind::Unsupported, "GET", &url, error.to_string()))
    }

    /// An image with its config. None when its config cannot be read.
    async fn image(
        &self,
        repository: &RepositoryPath,
        digest: Digest,
        manifest: ImageManifest,
    ) -> Result<Option<DescribedImage>, Error> {
        let bytes = self.get_blob(repository, &manifest.config, CONFIG).await?;
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

/// BuildKit's attestations stand in an index as images for no platform.
fn is_attestation(child: &Descriptor) -> bool {
    child
        .annotations
        .get("vnd.docker.reference.type")
        .is_some_and(|kind| kind == "attestation-manifest")
}
