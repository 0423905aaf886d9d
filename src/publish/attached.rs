//! Finds artifacts that other tools attached to a manifest, and that are deleted with it:
//! referrers, lists of referrers under fallback tags, and the tags of cosign.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::image::RepositoryInventory;
use crate::oci::RawManifest;
use crate::oci::artifact::ArtifactKind;
use crate::reference::{Digest, Tag};
use crate::registry::referrers::{subject_of, tags_of_tools};
use crate::registry::{Error, Repo};

/// An artifact that is attached to a manifest and deleted with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attached {
    /// The kind of the artifact, such as a signature.
    pub kind: ArtifactKind,
    /// The digest of its manifest.
    pub digest: Digest,
    /// The tags of the artifact that tools derived from a deleted digest.
    pub tags: Vec<Tag>,
    /// True if another tag points to the digest, so that only `tags` are deleted.
    pub stays: bool,
    #[serde(skip)]
    pub(super) raw: RawManifest,
}

/// Finds all artifacts that are attached to `going`, recursively, and to nothing that remains.
/// Returns them in the order of discovery.
pub(super) async fn attached(
    repo: &Repo,
    inventory: &RepositoryInventory,
    going: impl IntoIterator<Item = &Digest>,
) -> Result<Vec<Attached>, Error> {
    let mut open: Vec<Digest> = going.into_iter().cloned().collect();
    let mut subjects: BTreeSet<Digest> = open.iter().cloned().collect();
    let mut found: BTreeMap<Digest, RawManifest> = BTreeMap::new();
    let mut order = Vec::new();
    while let Some(subject) = open.pop() {
        for raw in attached_to(repo, inventory, &subject).await? {
            if subjects.contains(&raw.digest) || found.contains_key(&raw.digest) {
                continue;
            }
            order.push(raw.digest.clone());
            found.insert(raw.digest.clone(), raw.clone());
            // A digest that has another tag remains, and its attached artifacts remain too.
            if is_free(inventory, &raw.digest) {
                subjects.insert(raw.digest.clone());
                open.push(raw.digest);
            }
        }
    }
    let mut attached = Vec::new();
    for digest in order {
        let Some(raw) = found.remove(&digest) else {
            continue;
        };
        let (tags, others): (Vec<Tag>, Vec<Tag>) =
            inventory.naming(&digest).into_iter().partition(|tag| {
                ArtifactKind::of_tag(tag).is_some_and(|(_, subject)| subjects.contains(&subject))
            });
        let stays = !others.is_empty() || is_part(inventory, &digest);
        if !stays || !tags.is_empty() {
            let kind = match tags.first().and_then(ArtifactKind::of_tag) {
                Some((kind, _)) => kind,
                None => ArtifactKind::of(&raw),
            };
            attached.push(Attached {
                kind,
                digest,
                tags,
                stays,
                raw,
            });
        }
    }
    Ok(attached)
}

/// The manifests that are attached to one digest. A list may contain entries for another subject;
/// they are skipped.
async fn attached_to(
    repo: &Repo,
    inventory: &RepositoryInventory,
    subject: &Digest,
) -> Result<Vec<RawManifest>, Error> {
    let mut attached_to = Vec::new();
    for referrer in repo.referrers(subject).await? {
        let raw = repo.manifest(&referrer.descriptor.digest).await?;
        attached_to.extend(raw.filter(|raw| subject_of(raw).as_ref() == Some(subject)));
    }
    for tag in tags_of_tools(subject)
        .iter()
        .filter(|tag| inventory.tags.contains_key(*tag))
    {
        attached_to.extend(repo.manifest(tag).await?);
    }
    Ok(attached_to)
}

/// True if only tags of tools point to `digest`, and no index that remains references it.
fn is_free(inventory: &RepositoryInventory, digest: &Digest) -> bool {
    inventory
        .naming(digest)
        .iter()
        .all(|tag| ArtifactKind::of_tag(tag).is_some())
        && !is_part(inventory, digest)
}

/// True if an index of images references `digest`. Lists of referrers do not count.
fn is_part(inventory: &RepositoryInventory, digest: &Digest) -> bool {
    !needing(inventory, digest).is_empty()
}

/// The tags of the indexes of images that reference `digest`. Lists of referrers do not count.
pub(super) fn needing(inventory: &RepositoryInventory, digest: &Digest) -> Vec<Tag> {
    let is_list = |tag: &Tag| {
        matches!(
            ArtifactKind::of_tag(tag),
            Some((ArtifactKind::Referrers, _))
        )
    };
    inventory
        .needing(digest)
        .into_iter()
        .filter(|tag| !is_list(tag))
        .collect()
}
