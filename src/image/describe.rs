//! Reads an image for display: config, labels, layers and size of all platforms.

use std::collections::BTreeMap;

use super::{Follow, Lineage, Source, Tree, VERSION};
use crate::oci::artifact::ArtifactKind;
use crate::oci::{Descriptor, ImageConfig, ImageManifest, Manifest, RawManifest};
use crate::platform::Platform;
use crate::reference::{Digest, Target};
use crate::registry::{self, Repo};

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

impl DescribedImage {
    /// Its layers, by which the images that are built on it are recognised. `None` if the list of
    /// layers in its config is invalid.
    #[must_use]
    pub fn lineage(&self) -> Option<Lineage> {
        Lineage::of(self.manifest.config.digest.clone(), &self.config)
    }
}

impl Described {
    /// Reads the configs of the images below a manifest. An index may list images that the source
    /// does not have. Fails if a manifest is invalid, or a config cannot be read.
    pub async fn load<S: Source>(source: &S, top: RawManifest) -> Result<Self, S::Error> {
        let tree = Tree::load(source, top, Follow::Images).await?;
        let mut images = Vec::new();
        for (raw, manifest) in tree.images(source)? {
            if ArtifactKind::of(raw) != ArtifactKind::Image {
                continue;
            }
            let bytes = source.metadata(&manifest.config).await?;
            if let Ok(config) = ImageConfig::parse(&bytes) {
                images.push(DescribedImage {
                    platform: config.platform(),
                    digest: raw.digest.clone(),
                    manifest,
                    config,
                });
            }
        }
        Ok(Self {
            kind: ArtifactKind::of(&tree.top),
            raw: tree.top,
            images,
        })
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
        self.images.first()?.config.label(VERSION)
    }
}

/// Reads an image with its config, or every image of an index. Returns `None` if the target does
/// not exist. Fails if a manifest or config cannot be read.
pub async fn describe(
    repo: &Repo,
    target: impl Into<Target>,
) -> Result<Option<Described>, registry::Error> {
    match repo.manifest(target).await? {
        Some(top) => Described::load(repo, top).await.map(Some),
        None => Ok(None),
    }
}
