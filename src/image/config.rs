//! The config of an image.

use super::tree::DEEPEST;
use super::{Error, Source};
use crate::oci::{EntryRole, ImageConfig, ImageManifest, Manifest, RawManifest};

/// The label with the version of an image.
pub const VERSION: &str = "org.opencontainers.image.version";

/// The maximum size of a config in bytes.
pub(crate) const METADATA_LIMIT: u64 = 8 << 20;

/// Reads the config of an image. Fails if it is invalid or cannot be read.
pub async fn config<S: Source>(
    source: &S,
    raw: &RawManifest,
    manifest: &ImageManifest,
) -> Result<ImageConfig, S::Error> {
    let bytes = source.metadata(&manifest.config).await?;
    ImageConfig::parse(&bytes).map_err(|error| source.unusable(&raw.digest, error.into()))
}

/// Reads the config of an image, or of the first image of an index. Returns `None` if the index has
/// no image, or the source does not have it.
pub async fn first_config<S: Source>(
    source: &S,
    raw: &RawManifest,
) -> Result<Option<ImageConfig>, S::Error> {
    let mut current = raw.clone();
    for _ in 0..=DEEPEST {
        let index = match source.parse(&current)? {
            Manifest::Image(image) => return config(source, &current, &image).await.map(Some),
            Manifest::Index(index) => index,
        };
        let mut entries = index.manifests.iter();
        let first = entries.find(|entry| !matches!(entry.role(), EntryRole::Other(_)));
        let Some(first) = first else { return Ok(None) };
        match source.manifest(first).await? {
            Some(child) => current = child,
            None => return Ok(None),
        }
    }
    Err(source.unusable(&raw.digest, Error::TooDeep))
}
