//! Manifests. [`RawManifest`] has the original bytes and their digest and is uploaded unchanged;
//! [`Manifest`] is a parsed view of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::content::Bytes;
use super::descriptor::Descriptor;
use super::fields::{is_config, or_null};
use super::media;
use crate::reference::Digest;

/// The reason why bytes are not a supported manifest.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes are not JSON, or a field is missing.
    #[error("the manifest cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// Docker's schema 1, which is obsolete and has no digests of uncompressed layers.
    #[error(
        "the image is in Docker's schema 1 format, which is not supported; push it again with a current Docker"
    )]
    Schema1,
    /// The media type is neither an image manifest nor an index.
    #[error("media type `{0}` is neither an image manifest nor an index")]
    MediaType(String),
}

/// The bytes of a manifest, with the media type from the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawManifest {
    /// The media type, without parameters.
    pub media_type: String,
    /// The unchanged bytes, from which the digest is computed.
    pub bytes: Bytes,
    /// The digest of the bytes, computed by [`Self::new`].
    pub digest: Digest,
}

impl RawManifest {
    /// Wraps bytes and computes their digest.
    pub fn new(media_type: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            media_type: media_type.into(),
            digest: Digest::of(&bytes),
            bytes,
        }
    }

    /// A descriptor that refers to this manifest.
    #[must_use]
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(
            &self.media_type,
            self.digest.clone(),
            self.bytes.len() as u64,
        )
    }

    /// True if the manifest itself contains this media type, so that the digest covers it.
    #[must_use]
    pub(crate) fn contains_its_media_type(&self) -> bool {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct MediaTypeProbe {
            media_type: Option<String>,
        }
        serde_json::from_slice::<MediaTypeProbe>(&self.bytes)
            .is_ok_and(|probe| probe.media_type.as_ref() == Some(&self.media_type))
    }

    /// The content of a cache file: the media type, a line feed, and the manifest. Returns `None` if
    /// only the registry says the media type: another registry, or the same one later, may say
    /// another.
    #[must_use]
    pub(crate) fn to_cached(&self) -> Option<Vec<u8>> {
        self.contains_its_media_type()
            .then(|| [self.media_type.as_bytes(), b"\n", &self.bytes].concat())
    }

    /// The manifest in a cache file; `None` if it does not have the digest, or if the digest does not
    /// cover its media type.
    #[must_use]
    pub(crate) fn of_cached(cached: &[u8], digest: &Digest) -> Option<Self> {
        let end = cached.iter().position(|byte| *byte == b'\n')?;
        let media_type = std::str::from_utf8(&cached[..end]).ok()?;
        let raw = Self::new(media_type, cached[end + 1..].to_vec());
        (raw.digest == *digest && raw.contains_its_media_type()).then_some(raw)
    }

    /// Parses the manifest. Fails if it is invalid or has an unsupported media type.
    pub fn parse(&self) -> Result<Manifest, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct SchemaProbe {
            schema_version: Option<u32>,
        }
        match self.media_type.as_str() {
            media::OCI_MANIFEST | media::DOCKER_MANIFEST => {
                Ok(Manifest::Image(serde_json::from_slice(&self.bytes)?))
            }
            media::OCI_INDEX | media::DOCKER_LIST => {
                Ok(Manifest::Index(serde_json::from_slice(&self.bytes)?))
            }
            other => {
                let probe: SchemaProbe = serde_json::from_slice(&self.bytes)?;
                if probe.schema_version == Some(1) || other == media::DOCKER_SCHEMA1 {
                    return Err(Error::Schema1);
                }
                Err(Error::MediaType(other.to_owned()))
            }
        }
    }
}

/// A parsed manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manifest {
    /// The manifest of one image.
    Image(ImageManifest),
    /// An index of images by platform.
    Index(Index),
}

/// The manifest of one image: a config and layers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    /// Always 2.
    pub schema_version: u32,
    /// The media type of the manifest itself; OCI manifests may omit it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The type of the artifact, if this is not an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The descriptor of the image config.
    pub config: Descriptor,
    /// The layers, bottom first. Programs in Go write `null` if there are none.
    #[serde(deserialize_with = "or_null")]
    pub layers: Vec<Descriptor>,
    /// The manifest that this one refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Annotations: arbitrary keys and values.
    #[serde(
        default,
        deserialize_with = "or_null",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}

impl ImageManifest {
    /// Fails if the manifest is an artifact instead of an image. The error names the type of the
    /// artifact.
    pub fn refuse_artifact(&self) -> Result<(), String> {
        match self.type_of_artifact() {
            Some(kind) => Err(format!("it is an artifact of type {kind}")),
            None => Ok(()),
        }
    }

    /// The type of an artifact; `None` for an image.
    pub(crate) fn type_of_artifact(&self) -> Option<&str> {
        // Docker also accepts the last four types, because old registries stored images with them.
        let is_image = matches!(
            self.config.media_type.as_str(),
            media::OCI_CONFIG
                | media::DOCKER_CONFIG
                | "application/octet-stream"
                | "application/json"
                | "text/html"
                | ""
        );
        if is_image
            && self
                .artifact_type
                .as_deref()
                .is_none_or(|kind| kind.is_empty() || is_config(kind))
        {
            return None;
        }
        let kind = self.artifact_type.as_ref().filter(|kind| !kind.is_empty());
        Some(kind.unwrap_or(&self.config.media_type))
    }
}

/// An index of several images, one per platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// The media type of the index itself; OCI indexes may omit it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The entries of the index.
    #[serde(deserialize_with = "or_null")]
    pub manifests: Vec<Descriptor>,
    /// The manifest that this index refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Annotations: arbitrary keys and values.
    #[serde(
        default,
        deserialize_with = "or_null",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}
