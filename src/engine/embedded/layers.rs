//! Indexes of the layers of a base. golden reads each layer once and stores its index in the user's
//! cache, under the digest of the layer.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tokio_util::io::SyncIoBridge;

use super::{Embedded, Error, scan};
use crate::assemble::Layer;
use crate::assemble::tree::{Attributes, LayerIndex, TreeNode};
use crate::event::{Events, Step};
use crate::reference::Digest;
use crate::registry::BlobSource as _;

/// An index, as it is read from the cache.
#[derive(Deserialize)]
struct CachedIndex {
    /// The version of this format, and of the rules that select the files whose content is stored.
    schema: u32,
    /// The digest of the uncompressed layer.
    diff_id: Digest,
    /// The files whose content was requested by name.
    wanted: BTreeSet<String>,
    entries: BTreeMap<String, CachedNode>,
    whiteouts: BTreeSet<String>,
    opaque: BTreeSet<String>,
    links: BTreeMap<String, String>,
}

/// An index, as it is written to the cache. It borrows the data, because a copy of a large index
/// would need too much memory.
#[derive(Serialize)]
struct CachedIndexRef<'a> {
    schema: u32,
    diff_id: &'a Digest,
    wanted: &'a BTreeSet<String>,
    entries: ConvertedEntries<'a>,
    whiteouts: &'a BTreeSet<String>,
    opaque: &'a BTreeSet<String>,
    links: &'a BTreeMap<String, String>,
}

/// Entries that are converted one by one while they are written.
struct ConvertedEntries<'a>(&'a BTreeMap<String, TreeNode>);

impl Serialize for ConvertedEntries<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            self.0
                .iter()
                .map(|(path, node)| (path, CachedNode::from(node))),
        )
    }
}

/// The format version that this code reads and writes.
const SCHEMA: u32 = 3;

/// A node with short names in JSON, because a layer has tens of thousands of nodes. The numbers are
/// the mode, the user and the group.
#[derive(Serialize, Deserialize)]
enum CachedNode {
    #[serde(rename = "D")]
    Directory(u32, u32, u32),
    #[serde(rename = "I")]
    Implied,
    /// A file. The text is its content in base64, if the index has it.
    #[serde(rename = "F")]
    File(u32, u32, u32, Option<String>),
    #[serde(rename = "L")]
    Symlink(String),
    #[serde(rename = "O")]
    Other,
}

impl From<&TreeNode> for CachedNode {
    fn from(node: &TreeNode) -> Self {
        match node {
            TreeNode::Directory(Attributes { mode, uid, gid }) => {
                Self::Directory(*mode, *uid, *gid)
            }
            TreeNode::Implied => Self::Implied,
            TreeNode::File {
                attributes: Attributes { mode, uid, gid },
                content,
            } => Self::File(
                *mode,
                *uid,
                *gid,
                content.as_ref().map(|bytes| STANDARD.encode(bytes)),
            ),
            TreeNode::Symlink(target) => Self::Symlink(target.clone()),
            TreeNode::Other => Self::Other,
        }
    }
}

impl Embedded {
    /// The index of a layer, with the content of the files in `wanted`. Fails if the layer cannot
    /// be read, or if its uncompressed digest is not the one in the base's config.
    pub(super) async fn index(
        &self,
        layer: &Layer,
        diff_id: &Digest,
        wanted: &BTreeSet<String>,
        image: &str,
        events: &Events,
    ) -> Result<Arc<LayerIndex>, Error> {
        let digest = &layer.descriptor.digest;
        let key = format!(
            "{digest} {}",
            wanted.iter().cloned().collect::<Vec<_>>().join("\n")
        );
        let read = self.read_index(layer, wanted, image, events);
        let (index, found) = self.shared.indexes.get(key, read).await?;
        if found != *diff_id {
            let what = match diff_id.algorithm() {
                "sha256" => format!(
                    "its content has the digest {found}, but the base's config says {diff_id}"
                ),
                other => {
                    format!("the base's config lists it as {other}, but only sha256 is supported")
                }
            };
            return Err(Error::Layer {
                digest: digest.to_string(),
                what,
            });
        }
        Ok(index)
    }

    async fn read_index(
        &self,
        layer: &Layer,
        wanted: &BTreeSet<String>,
        image: &str,
        events: &Events,
    ) -> Result<(Arc<LayerIndex>, Digest), Error> {
        let digest = &layer.descriptor.digest;
        if let Some((index, diff_id)) = self
            .indexes
            .read(file(digest))
            .and_then(|bytes| read(&bytes, wanted))
        {
            return Ok((Arc::new(index), diff_id));
        }
        let (size, failed) = (layer.descriptor.size, |what: std::io::Error| Error::Layer {
            digest: digest.to_string(),
            what: what.to_string(),
        });
        let step = Step::ReadLayer {
            digest: digest.clone(),
            size,
        };
        events.step(image, step);
        let reader = self.blobs.source(layer).open(0).await.map_err(failed)?;
        let names = wanted.clone();
        let bridge = SyncIoBridge::new(reader);
        let scanned = tokio::task::spawn_blocking(move || scan::scan(bridge, size, &names)).await;
        let (index, diff_id) = match scanned {
            Ok(result) => result.map_err(failed)?,
            Err(stopped) => return Err(failed(std::io::Error::other(stopped))),
        };
        self.indexes
            .write(file(digest), &write(&index, &diff_id, wanted));
        Ok((Arc::new(index), diff_id))
    }
}

/// The path of an index in the cache.
fn file(layer: &Digest) -> PathBuf {
    PathBuf::from("layers").join(format!("{}-{}", layer.algorithm(), layer.hex()))
}

/// Reads a cached index. Returns `None` if it has another version, or lacks the content of a file
/// in `wanted`.
fn read(bytes: &[u8], wanted: &BTreeSet<String>) -> Option<(LayerIndex, Digest)> {
    let kept: CachedIndex = serde_json::from_slice(bytes).ok()?;
    if kept.schema != SCHEMA || !kept.wanted.is_superset(wanted) {
        return None;
    }
    let node = |node| {
        Some(match node {
            CachedNode::Directory(mode, uid, gid) => {
                TreeNode::Directory(Attributes { mode, uid, gid })
            }
            CachedNode::Implied => TreeNode::Implied,
            CachedNode::File(mode, uid, gid, content) => TreeNode::File {
                attributes: Attributes { mode, uid, gid },
                content: content
                    .map(|text| STANDARD.decode(text).map(Into::into))
                    .transpose()
                    .ok()?,
            },
            CachedNode::Symlink(target) => TreeNode::Symlink(target),
            CachedNode::Other => TreeNode::Other,
        })
    };
    let entries = kept
        .entries
        .into_iter()
        .map(|(path, kept)| Some((path, node(kept)?)))
        .collect::<Option<_>>()?;
    let index = LayerIndex {
        entries,
        whiteouts: kept.whiteouts,
        opaque: kept.opaque,
        links: kept.links,
    };
    Some((index, kept.diff_id))
}

/// Serializes an index for the cache.
fn write(index: &LayerIndex, diff_id: &Digest, wanted: &BTreeSet<String>) -> Vec<u8> {
    let kept = CachedIndexRef {
        schema: SCHEMA,
        diff_id,
        wanted,
        entries: ConvertedEntries(&index.entries),
        whiteouts: &index.whiteouts,
        opaque: &index.opaque,
        links: &index.links,
    };
    serde_json::to_vec(&kept)
        .unwrap_or_else(|error| unreachable!("an index has only string keys: {error}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn node() -> impl Strategy<Value = TreeNode> {
        let attributes =
            any::<(u32, u32, u32)>().prop_map(|(mode, uid, gid)| Attributes { mode, uid, gid });
        prop_oneof![
            attributes.clone().prop_map(TreeNode::Directory),
            Just(TreeNode::Implied),
            (attributes, any::<Option<Vec<u8>>>()).prop_map(|(attributes, content)| {
                TreeNode::File {
                    attributes,
                    content: content.map(Into::into),
                }
            }),
            ".*".prop_map(TreeNode::Symlink),
            Just(TreeNode::Other),
        ]
    }

    fn index() -> impl Strategy<Value = LayerIndex> {
        let names = || prop::collection::btree_set("\\PC{0,9}", 0..3);
        let links = prop::collection::btree_map("\\PC{0,9}", "\\PC{0,9}", 0..3);
        let entries = prop::collection::btree_map("\\PC{0,9}", node(), 0..6);
        (entries, names(), names(), links).prop_map(|(entries, whiteouts, opaque, links)| {
            LayerIndex {
                entries,
                whiteouts,
                opaque,
                links,
            }
        })
    }

    proptest! {
        #[test]
        fn an_index_is_read_back_unchanged_and_a_truncated_one_is_ignored(
            index in index(),
            wanted in prop::collection::btree_set("[a-c]", 0..3),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            cut in any::<prop::sample::Index>(),
        ) {
            let diff_id = Digest::of(b"layer");
            let mut bytes = write(&index, &diff_id, &wanted);
            prop_assert_eq!(read(&bytes, &wanted), Some((index, diff_id)));
            prop_assert_eq!(read(&bytes, &BTreeSet::from(["z".to_owned()])), None);
            let cut = cut.index(bytes.len());
            prop_assert_eq!(read(&bytes[..cut], &wanted), None);
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            drop(read(&bytes, &wanted));
        }
    }
}
