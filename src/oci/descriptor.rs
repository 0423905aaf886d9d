//! The descriptor: media type, digest and size of something that is stored elsewhere (OCI image spec, descriptor.md).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::manifest::{is_config, or_null};
use super::media;
use crate::platform::Platform;
use crate::reference::Digest;

/// Names content by digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the content is.
    #[serde(default)]
    pub media_type: String,
    /// Digest of the content.
    pub digest: Digest,
    /// Length of the content in bytes.
    pub size: u64,
    /// Where else the content may be had; set on foreign layers, which are not uploaded.
    #[serde(
        default,
        deserialize_with = "or_null",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub urls: Vec<String>,
    /// What kind of artifact it is, when it is not an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The platform, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<PlatformObject>,
    /// Free text pairs.
    #[serde(
        default,
        deserialize_with = "or_null",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// A descriptor of `bytes`.
    #[must_use]
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// A descriptor without platform, addresses and annotations.
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

/// What an entry of an index is, as far as the index says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryRole {
    /// An image for this platform.
    Image(Platform),
    /// An index, or an image that does not name its platform: only its own content says which.
    Unnamed,
    /// Something that is no image, such as an attestation.
    Other(String),
}

/// The annotation by which BuildKit names what is attached to an image.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

impl Descriptor {
    /// What this entry of an index is.
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

/// The platform as an index writes it, an object of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformObject {
    /// The architecture.
    #[serde(default)]
    pub architecture: String,
    /// The operating system; Linux where it is empty.
    #[serde(default)]
    pub os: String,
    /// Version of the operating system (Windows).
    #[serde(
        rename = "os.version",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub os_version: Option<String>,
    /// Variant of the architecture.
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
