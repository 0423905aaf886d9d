//! Indexes of the base's layers: each layer is read once, ever, and its index kept under its digest.

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
use crate::event::Events;
use crate::reference::Digest;
use crate::registry::BlobSource as _;

/// An index as the cache holds it, read.
#[derive(Deserialize)]
struct Kept {
    /// Version of this format, and of what is kept at all.
    schema: u32,
    /// The digest of the layer's plain bytes.
    diff_id: Digest,
    /// Files whose content was asked for by name.
    wanted: BTreeSet<String>,
    entries: BTreeMap<String, KeptNode>,
    whiteouts: BTreeSet<String>,
    opaque: BTreeSet<String>,
    links: BTreeMap<String, String>,
}

/// The same, written. It borrows the index: a copy would double the memory that a large layer takes.
#[derive(Serialize)]
struct Keep<'a> {
    schema: u32,
    diff_id: &'a Digest,
    wanted: &'a BTreeSet<String>,
    entries: Entries<'a>,
    whiteouts: &'a BTreeSet<String>,
    opaque: &'a BTreeSet<String>,
    links: &'a BTreeMap<String, String>,
}

/// Entries that are converted one at a time while they are written.
struct Entries<'a>(&'a BTreeMap<String, TreeNode>);

impl Serialize for Entries<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            self.0
                .iter()
                .map(|(path, node)| (path, KeptNode::from(node))),
        )
    }
}

/// The version that this code writes and reads.
const SCHEMA: u32 = 3;

/// A node in few letters: layers have tens of thousands.
#[derive(Serialize, Deserialize)]
enum KeptNode {
    D(u32, u32, u32),
    I,
    F(u32, u32, u32, Option<String>),
    L(String),
    O,
}

impl From<&TreeNode> for KeptNode {
    fn from(node: &TreeNode) -> Self {
        match node {
            TreeNode::Directory(Attributes { mode, uid, gid }) => Self::D(*mode, *uid, *gid),
            TreeNode::Implied => Self::I,
            TreeNode::File {
                attributes: Attributes { mode, uid, gid },
                content,
            } => Self::F(
                *mode,
                *uid,
                *gid,
                content.as_ref().map(|bytes| STANDARD.encode(bytes)),
            ),
            TreeNode::Symlink(target) => Self::L(target.clone()),
            TreeNode::Other => Self::O,
        }
    }
}

impl Embedded {
    /// The index of a layer, with the content of the files that are wanted by name. Its plain bytes must have the
    /// digest that the base's config gives them.
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
                "sha256" => format!("its content is {found}, and the base's config says {diff_id}"),
                other => format!(
                    "the base's config has its content as {other}, and only sha256 is supported there"
                ),
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
        events.step(
            image,
            format!("read layer {} of the base ({size} bytes)", digest.short()),
        );
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

/// Where an index is kept.
fn file(layer: &Digest) -> PathBuf {
    PathBuf::from("layers").join(format!("{}-{}", layer.algorithm(), layer.hex()))
}

/// Reads a kept index. None when it is of another version, or lacks a file that is wanted now.
fn read(bytes: &[u8], wanted: &BTreeSet<String>) -> Option<(LayerIndex, Digest)> {
    let kept: Kept = serde_json::from_slice(bytes).ok()?;
    if kept.schema != SCHEMA || !kept.wanted.is_superset(wanted) {
        return None;
    }
    let node = |node| {
        Some(match node {
            KeptNode::D(mode, uid, gid) => TreeNode::Directory(Attributes { mode, uid, gid }),
            KeptNode::I => TreeNode::Implied,
            KeptNode::F(mode, uid, gid, content) => TreeNode::File {
                attributes: Attributes { mode, uid, gid },
                content: content
                    .map(|text| STANDARD.decode(text).map(Into::into))
                    .transpose()
                    .ok()?,
            },
            KeptNode::L(target) => TreeNode::Symlink(target),
            KeptNode::O => TreeNode::Other,
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

/// Writes an index for the cache.
fn write(index: &LayerIndex, diff_id: &Digest, wanted: &BTreeSet<String>) -> Vec<u8> {
    let kept = Keep {
        schema: SCHEMA,
        diff_id,
        wanted,
        entries: Entries(&index.entries),
        whiteouts: &index.whiteouts,
        opaque: &index.opaque,
        links: &index.links,
    };
    serde_json::to_vec(&kept)
        .unwrap_or_else(|error| unreachable!("an index has text keys only: {error}"))
}
