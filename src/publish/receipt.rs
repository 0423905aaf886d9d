//! The receipt: what a publish did, kept under `.golden/receipts/REGISTRY/NAME/TAG.json`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::reference::{Digest, Repository, RepositoryPath, Tag};
use crate::workspace::state::{Error, StateDirectory};

/// What was published, where, and what each tag named before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Version of this format.
    pub schema: u32,
    /// The image's name in the workspace.
    pub image: String,
    /// The version.
    pub version: semver::Version,
    /// The variant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The destination.
    pub repository: Repository,
    /// What was published.
    pub digest: Digest,
    /// Size of the manifest and all that it names, in bytes, when known.
    pub size: Option<u64>,
    /// The image's inputs.
    pub inputs: Digest,
    /// Every tag, in the order that they were pushed.
    pub tags: Vec<TagReceipt>,
    /// The base, as reference and digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<BaseReceipt>,
    /// The engine that built it: `docker` or `embedded`.
    pub engine: String,
    /// Milliseconds by phase: `build`, `push`, `tags`, `verify`.
    pub durations: BTreeMap<String, u64>,
    /// When it was published, RFC 3339.
    pub published: String,
}

impl Receipt {
    /// Where the receipt of an image lies in `.golden`. A name of a registry with slashes is one folder all the same.
    #[must_use]
    pub fn file(registry: &str, name: &RepositoryPath, full: &Tag) -> PathBuf {
        let registry = registry.replace('/', "_");
        PathBuf::from("receipts")
            .join(registry)
            .join(name.as_str())
            .join(format!("{full}.json"))
    }

    /// Reads a receipt; none when there is none, or when it cannot be read any more.
    pub fn read(
        state: &StateDirectory,
        registry: &str,
        name: &RepositoryPath,
        full: &Tag,
    ) -> Result<Option<Self>, Error> {
        let bytes = state.read(Self::file(registry, name, full))?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Writes the receipt, as a whole or not at all.
    pub fn write(
        &self,
        state: &StateDirectory,
        registry: &str,
        name: &RepositoryPath,
        full: &Tag,
    ) -> Result<(), Error> {
        // Every key is text and every value is plain, so that this is always JSON.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        state.write(Self::file(registry, name, full), &bytes)
    }
}

/// What happened to one tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagReceipt {
    /// The tag.
    pub tag: Tag,
    /// `create`, `move`, `keep`, or `same`.
    pub action: String,
    /// What it named before.
    pub previous: Option<Digest>,
    /// What it names now.
    pub digest: Option<Digest>,
}

/// What the image was built on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseReceipt {
    /// The reference.
    pub name: String,
    /// The digest.
    pub digest: Option<Digest>,
}
