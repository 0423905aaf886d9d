//! The content of a repository: every tag with its digest, and the manifests that its indexes
//! reference.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::tree::is_index;
use super::{Follow, Tree, children};
use crate::oci::Descriptor;
use crate::reference::{Digest, Tag};
use crate::registry::{Error, Repo};
use crate::tags::{is_build_cache, siblings};

/// The number of concurrent requests.
const CONCURRENCY: usize = 8;

/// Every tag of a repository, and the children of every tagged index.
#[derive(Debug, Clone, Default)]
pub struct RepositoryInventory {
    /// The descriptor that each tag points to.
    pub tags: BTreeMap<Tag, Descriptor>,
    /// The digests of all manifests below each tagged index, at all levels.
    pub children: BTreeMap<Digest, BTreeSet<Digest>>,
}

impl RepositoryInventory {
    /// Reads a repository before a deletion. Fails if the tag list is incomplete: a tag that the
    /// registry serves but does not list may point to the manifest to be deleted. Tags that are
    /// deleted concurrently are omitted, and build caches, which do not keep a manifest.
    pub async fn read(repo: &Repo) -> Result<Self, Error> {
        let list = repo.tags().await?;
        let mut list = repo.complete_tags(&siblings(&list)).await?;
        list.retain(|tag| !is_build_cache(tag.as_str()));
        let tags = Self::heads(repo, list).await?;
        let mut children = BTreeMap::new();
        for descriptor in tags.values() {
            if is_index(&descriptor.media_type) && !children.contains_key(&descriptor.digest) {
                let below = below(repo, &descriptor.digest).await?;
                children.insert(descriptor.digest.clone(), below);
            }
        }
        Ok(Self { tags, children })
    }

    /// Reads only the tags, with HEAD requests, without build caches. Fails if the tag list cannot
    /// be read.
    pub async fn tags(repo: &Repo) -> Result<BTreeMap<Tag, Descriptor>, Error> {
        let mut list = repo.tags().await?;
        list.retain(|tag| !is_build_cache(tag.as_str()));
        Self::heads(repo, list).await
    }

    /// Resolves `tags` with HEAD requests; tags that do not exist are omitted.
    pub async fn heads(repo: &Repo, tags: Vec<Tag>) -> Result<BTreeMap<Tag, Descriptor>, Error> {
        let heads = stream::iter(tags).map(|tag| async move {
            let found = repo.head(&tag).await?;
            Ok::<_, Error>(found.map(|descriptor| (tag, descriptor)))
        });
        heads
            .buffer_unordered(CONCURRENCY)
            .try_filter_map(async |found| Ok(found))
            .try_collect()
            .await
    }

    /// The tags that point to `digest`.
    #[must_use]
    pub fn naming(&self, digest: &Digest) -> Vec<Tag> {
        let naming = self
            .tags
            .iter()
            .filter(|(_, descriptor)| descriptor.digest == *digest);
        naming.map(|(tag, _)| tag.clone()).collect()
    }

    /// The tags of the indexes that reference `digest`, directly or through a nested index.
    #[must_use]
    pub fn needing(&self, digest: &Digest) -> Vec<Tag> {
        let needing = self.tags.iter().filter(|(_, descriptor)| {
            self.children
                .get(&descriptor.digest)
                .is_some_and(|children| children.contains(digest))
        });
        needing.map(|(tag, _)| tag.clone()).collect()
    }
}

/// All manifests below an index as far as the repository has them; an index may list manifests that
/// were never pushed.
async fn below(repo: &Repo, index: &Digest) -> Result<BTreeSet<Digest>, Error> {
    let Some(top) = repo.manifest(index).await? else {
        return Ok(BTreeSet::new());
    };
    let tree = Tree::load(repo, top, Follow::Indexes).await?;
    let named = tree.children_first().flat_map(children);
    Ok(named.map(|child| child.digest).collect())
}
