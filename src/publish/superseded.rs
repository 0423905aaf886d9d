//! Manifests under the tags of tools that newer ones have replaced: lists of referrers, and the
//! signatures of cosign. A registry keeps them as manifests without a tag.

use std::collections::BTreeSet;

use crate::image::RepositoryInventory;
use crate::oci::artifact::ArtifactKind;
use crate::reference::{Digest, Tag};
use crate::registry::referrers::Superseded;
use crate::registry::{Error, Repo};
use crate::tags::siblings;

/// The largest number of tags that are read to find out that none points to a replaced manifest. In a
/// larger repository, the manifest is kept: the requests cost more than its space.
const MOST_TAGS: usize = 20;

/// Deletes replaced manifests that no tag points to. A registry that refuses the deletion keeps them:
/// they cost only space.
pub(super) async fn remove_superseded(repo: &Repo, replaced: &[Superseded]) {
    if replaced.is_empty() {
        return;
    }
    if let Err(error) = remove(repo, replaced).await {
        tracing::debug!(%error, "replaced manifests are kept");
    }
}

/// Fails if the list of tags is incomplete: a tag that it lacks may point to a replaced manifest.
async fn remove(repo: &Repo, replaced: &[Superseded]) -> Result<(), Error> {
    // The content names the digest that the tag is derived from, so the tags of other digests do not
    // point to it.
    let may_point_to_it = |tag: &Tag| ArtifactKind::of_tag(tag).is_none();
    let listed = repo.tags().await?;
    let count = listed.iter().filter(|tag| may_point_to_it(tag)).count();
    if count > MOST_TAGS {
        tracing::debug!(tags = count, "replaced manifests are kept");
        return Ok(());
    }
    let mut tags = repo.complete_tags(&siblings(&listed)).await?;
    tags.retain(may_point_to_it);
    tags.extend(replaced.iter().map(|one| one.tag.clone()));
    let heads = RepositoryInventory::heads(repo, tags).await?;
    let used: BTreeSet<&Digest> = heads.values().map(|head| &head.digest).collect();
    for one in replaced {
        if !used.contains(&one.digest) {
            repo.delete(&one.digest).await?;
        }
    }
    Ok(())
}
