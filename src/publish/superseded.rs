//! Manifests under the tags of tools that newer ones have replaced: lists of referrers, and the
//! signatures of cosign. A registry keeps them as manifests without a tag.

use std::collections::BTreeSet;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::oci::artifact::ArtifactKind;
use crate::reference::{Digest, Tag};
use crate::registry::referrers::Superseded;
use crate::registry::{Error, Repo};

/// The largest number of tags that are read to find out that none points to a replaced manifest. In a
/// larger repository, the manifest is kept: the requests cost more than its space.
const MOST_TAGS: usize = 20;
/// The number of tags that are read concurrently.
const CONCURRENT: usize = 8;

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

async fn remove(repo: &Repo, replaced: &[Superseded]) -> Result<(), Error> {
    let mut tags = repo.tags().await?;
    // The content names the digest that the tag is derived from, so the tags of other digests do not
    // point to it.
    tags.retain(|tag| ArtifactKind::of_tag(tag).is_none());
    if tags.len() > MOST_TAGS {
        tracing::debug!(tags = tags.len(), "replaced manifests are kept");
        return Ok(());
    }
    tags.extend(replaced.iter().map(|one| one.tag.clone()));
    let read = stream::iter(&tags).map(async |tag: &Tag| {
        let found = repo.head(tag).await?;
        Ok::<_, Error>(found.map(|found| found.digest))
    });
    let used: BTreeSet<Option<Digest>> = read.buffered(CONCURRENT).try_collect().await?;
    for one in replaced {
        if !used.contains(&Some(one.digest.clone())) {
            repo.delete(&one.digest).await?;
        }
    }
    Ok(())
}
