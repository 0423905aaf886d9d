//! The descriptor: media type, digest and size of content that is stored elsewhere (OCI image spec,
//! descriptor.md).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fields::{is_config, or_null};
use super::media;
use crate::platform::Platform;
use crate::reference::Digest;

/// A reference to content by digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The media type of the content; empty if an index omits it.
    #[serde(default)]
    pub media_type: String,
    /// The digest of the content.
    pub digest: Digest,
    /// The length of the content in bytes.
    pub size: u64,
    /// Other locations of the content. They are set on foreign layers, which are not uploaded.
    #[serde(
        default,
        deserialize_with = "or_null",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub urls: Vec<String>,
    /// The type of the artifact, if the content is not an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The platform of the image, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<PlatformObject>,
    /// Annotations: arbitrary keys and values.
    #[serde(
        default,
        deserialize_with = "or_null",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}

/// The size of layers as a registry stores them, in bytes. A layer that is used twice counts once.
#[must_use]
pub fn packed_size<'a>(layers: impl IntoIterator<Item = &'a Descriptor>) -> u64 {
    let sizes = layers.into_iter().map(|layer| (&layer.digest, layer.size));
    let sizes: BTreeMap<&Digest, u64> = sizes.collect();
    sizes.into_values().fold(0, u64::saturating_add)
}

impl Descriptor {
    /// Makes the descriptor of `bytes`.
    #[must_use]
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// Makes a descriptor without platform, URLs and annotations.
    #[must_use]
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            urls: Vec::new(),
            artifact_type: None,
            platform: None,
            annotations: BTreeMap::new(),
        }
    }
}

/// The role of an entry of an index, as far as the index shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryRole {
    /// An image for this platform.
    Image(Platform),
    /// An index, or an image without a platform in the index. Only its own content shows which.
    Unnamed,
    /// Something other than an image, such as an attestation; the text describes it.
    Other(String),
}

/// The annotation in which BuildKit stores the type of a manifest that is attached to an image.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

impl Descriptor {
    /// The role of this entry of an index.
    #[must_use]
    pub fn role(&self) -> EntryRole {
        if let Some(kind) = self.annotations.get(REFERENCE_TYPE) {
            return EntryRole::Other(kind.clone());
        }
        if let Some(kind) = self
            .artifact_type
            .as_deref()
            .filter(|kind| !kind.is_empty() && !is_config(kind))
        {
            return EntryRole::Other(format!("artifact of type {kind}"));
        }
        match self.media_type.as_str() {
            media::OCI_INDEX | media::DOCKER_LIST | "" => EntryRole::Unnamed,
            media::OCI_MANIFEST | media::DOCKER_MANIFEST => match &self.platform {
                Some(named) if named.os == "unknown" => EntryRole::Other("attestation".to_owned()),
                Some(named) if !named.architecture.is_empty() => {
                    EntryRole::Image(Platform::from(named))
                }
                _ => EntryRole::Unnamed,
            },
            other => EntryRole::Other(format!("entry of media type {other}")),
        }
    }
}

/// The platform object in an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformObject {
    /// The architecture in Go's names, such as `amd64`.
    #[serde(default)]
    pub architecture: String,
    /// The operating system; an empty string means Linux.
    #[serde(default)]
    pub os: String,
    /// The version of the operating system, used for Windows.
    #[serde(
        rename = "os.version",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub os_version: Option<String>,
    /// The variant of the architecture, such as `v7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl From<&PlatformObject> for Platform {
    fn from(object: &PlatformObject) -> Self {
        let os = if object.os.is_empty() {
            "linux"
        } else {
            &object.os
        };
        Self::new(os, &object.architecture, object.variant.as_deref())
    }
}

impl From<&Platform> for PlatformObject {
    fn from(platform: &Platform) -> Self {
        Self {
            architecture: platform.architecture.clone(),
            os: platform.os.clone(),
            os_version: None,
            variant: platform.variant.clone(),
        }
    }
}
