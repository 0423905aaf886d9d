//! Manifests: [`RawManifest`] is what has a digest and is sent again as it came; [`Manifest`] is a view of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::content::Bytes;
use super::descriptor::Descriptor;
use super::media;
use crate::reference::Digest;

/// Why bytes are not a manifest that golden can work with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not JSON, or a field is missing.
    #[error("the manifest cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// Schema 1 has no digests of its layers' content and is dead.
    #[error(
        "the image is in Docker's schema 1 format, which is not supported; push it again with a current Docker"
    )]
    Schema1,
    /// A media type that is not an image or an index.
    #[error("media type `{0}` is neither an image manifest nor an index")]
    MediaType(String),
}

/// The bytes of a manifest, with what the registry said that they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawManifest {
    /// The media type, without parameters.
    pub media_type: String,
    /// Exactly the bytes that the digest is of.
    pub bytes: Bytes,
    /// The digest of the bytes, computed here.
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

    /// The descriptor of this manifest.
    #[must_use]
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(
            &self.media_type,
            self.digest.clone(),
            self.bytes.len() as u64,
        )
    }

    /// Reads the manifest.
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

/// A manifest as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manifest {
    /// One image.
    Image(ImageManifest),
    /// Several, by platform.
    Index(Index),
}

/// One image: a config and layers, bottom first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    /// Always 2.
    pub schema_version: u32,
    /// The manifest's own media type; OCI manifests may omit it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What kind of artifact this is, when it is not an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The image config.
    pub config: Descriptor,
    /// The layers, bottom first; programs in Go write `null` where there are none.
    #[serde(deserialize_with = "or_null")]
    pub layers: Vec<Descriptor>,
    /// The manifest that this one refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free text pairs.
    #[serde(
        default,
        deserialize_with = "or_null",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}

impl ImageManifest {
    /// Refuses a manifest whose config is not an image's; the error names what it is instead.
    pub fn refuse_artifact(&self) -> Result<(), String> {
        // Docker reads the last four as images too: a registry of old stored them so.
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
            return Ok(());
        }
        let kind = self.artifact_type.as_ref().filter(|kind| !kind.is_empty());
        Err(format!(
            "it is an artifact of type {}",
            kind.unwrap_or(&self.config.media_type)
        ))
    }
}

/// Whether a media type is that of an image's config.
pub(super) fn is_config(media_type: &str) -> bool {
    matches!(media_type, media::OCI_CONFIG | media::DOCKER_CONFIG)
}

/// A value, or the null that Go writes for an empty list or map.
pub(super) fn or_null<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Several images, one a platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// The index's own media type; OCI indexes may omit it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The images.
    #[serde(deserialize_with = "or_null")]
    pub manifests: Vec<Descriptor>,
    /// The manifest that this one refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free text pairs.
    #[serde(
        default,
        deserialize_with = "or_null",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}
