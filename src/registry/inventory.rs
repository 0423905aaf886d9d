//! What a repository holds: every tag with its digest, and which manifests its indexes need.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{Error, Registry};
use crate::oci::{Descriptor, Manifest, RawManifest, media};
use crate::reference::{Digest, RepositoryPath, Tag, Target};
use crate::tags::siblings;

/// Requests at once.
const AT_ONCE: usize = 8;

/// Every tag of a repository, and every index among what they name.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// What each tag names.
    pub tags: BTreeMap<Tag, Descriptor>,
    /// The manifests that each tagged index names, all levels.
    pub children: BTreeMap<Digest, BTreeSet<Digest>>,
}

impl Inventory {
    /// Reads a repository, for a decision about what may be deleted: a list that lacks a tag that can be read, and that
    /// may point to what is to be deleted, is refused. A tag that is deleted concurrently is left out.
    pub async fn read(registry: &Registry, repository: &RepositoryPath) -> Result<Self, Error> {
        let list = registry.tags(repository).await?;
        let list = registry.complete_tags(repository, &siblings(&list)).await?;
        let tags = Self::heads(registry, repository, list).await?;
        let mut children = BTreeMap::new();
        for descriptor in tags.values() {
            if is_index(&descriptor.media_type) && !children.contains_key(&descriptor.digest) {
                let below = below(registry, repository, &descriptor.digest).await?;
                children.insert(descriptor.digest.clone(), below);
            }
        }
        Ok(Self { tags, children })
    }

    /// The tags alone, by HEAD.
    pub async fn tags(
        registry: &Registry,
        repository: &RepositoryPath,
    ) -> Result<BTreeMap<Tag, Descriptor>, Error> {
        Self::heads(registry, repository, registry.tags(repository).await?).await
    }

    /// The tags of a list that can be read, by HEAD.
    pub async fn heads(
        registry: &Registry,
        repository: &RepositoryPath,
        tags: Vec<Tag>,
    ) -> Result<BTreeMap<Tag, Descriptor>, Error> {
        let heads = stream::iter(tags).map(|tag| async move {
            let found = registry
                .head_manifest(repository, &Target::from(&tag))
                .await?;
            Ok::<_, Error>(found.map(|descriptor| (tag, descriptor)))
        });
        heads
            .buffer_unordered(AT_ONCE)
            .try_filter_map(async |found| Ok(found))
            .try_collect()
            .await
    }

    /// The tags that name a digest.
    #[must_use]
    pub fn naming(&self, digest: &Digest) -> Vec<Tag> {
        let naming = self
            .tags
            .iter()
            .filter(|(_, descriptor)| descriptor.digest == *digest);
        naming.map(|(tag, _)| tag.clone()).collect()
    }

    /// The tags of the indexes that need a digest.
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

/// Whether a media type is an index's.
#[must_use]
pub fn is_index(media_type: &str) -> bool {
    [media::OCI_INDEX, media::DOCKER_LIST].contains(&media_type)
}

/// All manifests below an index that the repository has; an index may hold others.
async fn below(
    registry: &Registry,
    repository: &RepositoryPath,
    index: &Digest,
) -> Result<BTreeSet<Digest>, Error> {
    let Some(top) = registry
        .get_manifest(repository, &Target::from(index))
        .await?
    else {
        return Ok(BTreeSet::new());
    };
    let below = registry
        .below(repository, &top, |child| is_index(&child.media_type))
        .await?;
    let named = below.manifests.iter().chain([&top]).flat_map(children);
    Ok(named.map(|child| child.digest).collect())
}

/// The manifests that an index names; none for an image.
#[must_use]
pub fn children(raw: &RawManifest) -> Vec<Descriptor> {
    match raw.parse() {
        Ok(Manifest::Index(index)) => index.manifests,
        Ok(Manifest::Image(_)) | Err(_) => Vec::new(),
    }
}
