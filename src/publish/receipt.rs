//! The receipt of a publish, stored as `.golden/receipts/REGISTRY/NAME/TAG.json`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::reference::{Digest, Repository, RepositoryPath, Tag};
use crate::workspace::state::{Error, StateDirectory};

/// The directory of the receipts in the state directory.
const DIRECTORY: &str = "receipts";

/// The time since `start`, as receipts contain it.
pub(crate) fn milliseconds(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The published image, its destination, and the previous digest of each tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The version of this format.
    pub schema: u32,
    /// The name of the image in the workspace.
    pub image: String,
    /// The published version.
    pub version: semver::Version,
    /// The variant, such as `alpine`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The repository that it was published to.
    pub repository: Repository,
    /// The digest of the published manifest.
    pub digest: Digest,
    /// The size in bytes of the manifest and all blobs; `None` for an index.
    pub size: Option<u64>,
    /// The inputs digest of the image.
    pub inputs: Digest,
    /// Every tag, in the order of pushing.
    pub tags: Vec<TagReceipt>,
    /// The base image, as reference and digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<BaseReceipt>,
    /// The engine that built it: `docker`, `embedded` or `none`.
    pub engine: String,
    /// The duration of each phase in milliseconds: `build`, `push`, `tags`, `verify`.
    pub durations: BTreeMap<String, u64>,
    /// The time of publishing, in RFC 3339.
    pub published: String,
}

impl Receipt {
    /// The path of a receipt below `.golden`. Slashes in the name of a registry are replaced, so
    /// that it is one directory.
    #[must_use]
    pub fn file(registry: &str, name: &RepositoryPath, full: &Tag) -> PathBuf {
        let registry = registry.replace('/', "_");
        PathBuf::from(DIRECTORY)
            .join(registry)
            .join(name.as_str())
            .join(format!("{full}.json"))
    }

    /// True if a tag was created, or moved to the published digest. A publish that only attaches
    /// artifacts has a receipt too.
    #[must_use]
    pub fn has_moved_tags(&self) -> bool {
        let is_moved = |tag: &TagReceipt| {
            tag.digest.as_ref() == Some(&self.digest) && tag.previous != tag.digest
        };
        self.tags.iter().any(is_moved)
    }

    /// Reads a receipt. Returns `None` if it does not exist or has another format. Fails if the
    /// file cannot be read.
    pub fn read(
        state: &StateDirectory,
        registry: &str,
        name: &RepositoryPath,
        full: &Tag,
    ) -> Result<Option<Self>, Error> {
        let bytes = state.read(Self::file(registry, name, full))?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Reads all receipts of a workspace. Files of another format are skipped. Fails if a file cannot
    /// be read.
    pub fn all(state: &StateDirectory) -> Result<Vec<Self>, Error> {
        let mut receipts = Vec::new();
        for file in state.files_in(DIRECTORY) {
            let bytes = state.read(&file)?.unwrap_or_default();
            receipts.extend(serde_json::from_slice::<Self>(&bytes).ok());
        }
        Ok(receipts)
    }

    /// Writes the receipt atomically. Fails if the file cannot be written.
    pub fn write(
        &self,
        state: &StateDirectory,
        registry: &str,
        name: &RepositoryPath,
        full: &Tag,
    ) -> Result<(), Error> {
        // The struct has only string keys and plain values, so that serialization cannot fail.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        state.write(Self::file(registry, name, full), &bytes)
    }
}

/// The change of one tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagReceipt {
    /// The name of the tag.
    pub tag: Tag,
    /// The action: `create`, `move`, `keep` or `same`.
    pub action: String,
    /// The digest that the tag pointed to before.
    pub previous: Option<Digest>,
    /// The digest that the tag points to now.
    pub digest: Option<Digest>,
}

/// The base of the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseReceipt {
    /// The reference of the base.
    pub name: String,
    /// The pinned digest of the base.
    pub digest: Option<Digest>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_in_milliseconds() {
        let before = std::time::Duration::from_millis(1500);
        let start = Instant::now().checked_sub(before).unwrap();
        assert!((1500..60_000).contains(&milliseconds(start)));
    }

    #[test]
    fn a_tag_has_moved_if_it_now_points_to_the_published_digest() {
        let [old, new] = ["old", "new"].map(|text| Digest::of(text.as_bytes()));
        for (previous, digest, expected) in [
            (None, Some(&new), true),
            (Some(&old), Some(&new), true),
            (Some(&new), Some(&new), false),
            (Some(&old), Some(&old), false),
            (None, Some(&old), false),
            (None, None, false),
        ] {
            let receipt: Receipt = serde_json::from_value(serde_json::json!({
                "schema": 1,
                "image": "app",
                "version": "1.2.3",
                "repository": "h.example/app",
                "digest": new,
                "size": null,
                "inputs": old,
                "tags": [{ "tag": "1.2", "action": "keep", "previous": previous, "digest": digest }],
                "engine": "none",
                "durations": {},
                "published": "2026-01-02T03:04:05Z",
            }))
            .unwrap();
            assert_eq!(
                receipt.has_moved_tags(),
                expected,
                "{previous:?} {digest:?}"
            );
        }
    }
}
