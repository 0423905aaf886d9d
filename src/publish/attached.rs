//! What other tools have attached to manifests, and what goes with a manifest that is deleted: referrers, lists of
//! referrers under fallback tags, and the tags of cosign.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::delete::{DeleteSubject, Error, needing, prove_gone, remove_leftover, tagged};
use super::untag::untag;
use crate::oci::RawManifest;
use crate::oci::artifact::ArtifactKind;
use crate::reference::{Digest, Reference, Repository, RepositoryPath, Tag, Target};
use crate::registry::referrers::{subject_of, tags_of_tools};
use crate::registry::{Inventory, Registry};

/// Something that belongs to a manifest and goes with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attached {
    /// What it is.
    pub kind: ArtifactKind,
    /// Its digest.
    pub digest: Digest,
    /// Its tags that tools made from a digest that goes.
    pub tags: Vec<Tag>,
    /// Whether the digest stays, since another tag points to it, and only `tags` go.
    pub stays: bool,
    #[serde(skip)]
    raw: RawManifest,
}

/// Finds everything that belongs to `going` and to nothing else, recursively: in the order in which it was found.
pub(super) async fn attached(
    registry: &Registry,
    path: &RepositoryPath,
    inventory: &Inventory,
    going: impl IntoIterator<Item = &Digest>,
) -> Result<Vec<Attached>, Error> {
    let mut open: Vec<Digest> = going.into_iter().cloned().collect();
    let mut subjects: BTreeSet<Digest> = open.iter().cloned().collect();
    let mut found: BTreeMap<Digest, RawManifest> = BTreeMap::new();
    let mut order = Vec::new();
    while let Some(subject) = open.pop() {
        for raw in belonging(registry, path, inventory, &subject).await? {
            if subjects.contains(&raw.digest) || found.contains_key(&raw.digest) {
                continue;
            }
            order.push(raw.digest.clone());
            found.insert(raw.digest.clone(), raw.clone());
            // A digest that has a name of its own stays, with what belongs to it.
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
                ArtifactKind::of_tag(tag).is_some_and(|(_, of)| subjects.contains(&of))
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

/// The manifests that belong to one digest. A list may name what refers to another one.
async fn belonging(
    registry: &Registry,
    path: &RepositoryPath,
    inventory: &Inventory,
    subject: &Digest,
) -> Result<Vec<RawManifest>, Error> {
    let mut belonging = Vec::new();
    for referrer in registry.referrers(path, subject).await? {
        let target = Target::from(&referrer.descriptor.digest);
        let raw = registry.get_manifest(path, &target).await?;
        belonging.extend(raw.filter(|raw| subject_of(raw).as_ref() == Some(subject)));
    }
    for tag in tags_of_tools(subject)
        .iter()
        .filter(|tag| inventory.tags.contains_key(*tag))
    {
        belonging.extend(registry.get_manifest(path, &Target::from(tag)).await?);
    }
    Ok(belonging)
}

/// Whether only tags that tools made point to a digest, and no index that stays needs it.
fn is_free(inventory: &Inventory, digest: &Digest) -> bool {
    inventory
        .naming(digest)
        .iter()
        .all(|tag| ArtifactKind::of_tag(tag).is_some())
        && !is_part(inventory, digest)
}

/// Whether an index of images needs a digest. A list of referrers names it without needing it.
fn is_part(inventory: &Inventory, digest: &Digest) -> bool {
    !needing(inventory, digest).is_empty()
}

/// Deletes what belonged to a manifest that was deleted, and proves that it is gone.
pub(super) async fn delete(
    registry: &Registry,
    repository: &Repository,
    attached: &[Attached],
) -> Result<(), Error> {
    for one in attached {
        if one.stays {
            for tag in &one.tags {
                untag(
                    registry,
                    &DeleteSubject::bare(tagged(repository, tag), one.raw.clone()),
                    tag,
                )
                .await?;
            }
        } else {
            registry
                .delete_manifest(&repository.path, &one.digest)
                .await?;
            for tag in &one.tags {
                remove_leftover(registry, repository, tag).await?;
            }
            let digest = Some(one.digest.clone());
            prove_gone(
                registry,
                &Reference {
                    repository: repository.clone(),
                    tag: None,
                    digest,
                },
            )
            .await?;
        }
    }
    Ok(())
}
