//! The parts of every removal: its subject, its result, its errors, and the proof that a reference
//! is gone.

use std::collections::BTreeSet;

use serde::Serialize;

use super::attached::Attached;
use crate::observe::Absent;
use crate::oci::RawManifest;
use crate::reference::{Digest, Reference, Repository, Tag, Target};
use crate::registry::{self, Repo};

/// The reason why a deletion failed or was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The registry could not be reached, or rejected the request.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// The tag or digest does not exist.
    #[error(transparent)]
    Missing(Box<Absent>),
    /// The repository does not exist.
    #[error("repository {0} not found")]
    NoRepository(Repository),
    /// Other tags point to the same digest.
    #[error("{}", shared(reference, digest, tags))]
    Shared {
        /// The reference that was to be deleted.
        reference: Reference,
        /// The digest that it points to.
        digest: Digest,
        /// The other tags of the digest.
        tags: Vec<Tag>,
    },
    /// An index that remains references the manifest.
    #[error("{reference} is part of the index tagged {}", list(tags))]
    Part {
        /// The reference that was to be deleted.
        reference: Reference,
        /// The tags of the index.
        tags: Vec<Tag>,
    },
    /// `--untag` was given with a reference without a tag.
    #[error("{0} has no tag; --untag removes a tag")]
    NoTag(Reference),
    /// Another publisher moved the tag after it was examined.
    #[error("another publisher moved {0}; nothing was deleted")]
    Moved(Reference),
    /// The registry accepted the deletion, but the content still exists after this many seconds.
    #[error("{0} still exists {1} s after the registry accepted its deletion")]
    Still(Reference, u64),
    /// The registry also removed tags that should remain.
    #[error("the registry also removed {}; {}", list(tags), if *restored { "they were restored" } else { "they could not be restored" })]
    Collateral {
        /// The tags that the registry removed.
        tags: Vec<Tag>,
        /// True if golden restored them.
        restored: bool,
    },
    /// The second step of removing a tag failed.
    #[error("{reference} could not be removed: {source}; {}", if *restored { "it points to its digest again" } else { "it now points to an empty stand-in manifest and could not be restored" })]
    HalfWay {
        /// The tag to remove.
        reference: Reference,
        /// True if the tag points to its previous digest again.
        restored: bool,
        /// The error of the second step.
        source: registry::Error,
    },
}

fn shared(reference: &Reference, digest: &Digest, tags: &[Tag]) -> String {
    match reference.target() {
        Target::Digest(_) => format!("{reference} has tags: {}", list(tags)),
        Target::Tag(_) => {
            format!("{reference} shares the digest {digest} with {}", list(tags))
        }
    }
}

fn list(tags: &[Tag]) -> String {
    tags.iter().map(Tag::as_str).collect::<Vec<_>>().join(", ")
}

impl Error {
    /// True if golden refused the deletion because of a rule; false for a failure.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Shared { .. } | Self::Part { .. })
    }

    /// The hints for the user, one per line.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Registry(error) | Self::HalfWay { source: error, .. } => error.hints(),
            Self::Shared { .. } => vec![
                "--all-tags deletes the digest with every tag that points to it".to_owned(),
                "--untag removes only the tag and keeps the digest and its other tags".to_owned(),
            ],
            Self::Part { .. } => {
                vec!["delete the index; its images are deleted with it".to_owned()]
            }
            Self::Collateral {
                restored: false, ..
            } => {
                vec!["restore the tags with `golden rollback` or `golden promote`".to_owned()]
            }
            Self::Missing(absent) => absent.hints(),
            _ => Vec::new(),
        }
    }
}

/// A digest to delete, with everything that depends on it.
#[derive(Debug, Clone)]
pub struct DeleteSubject {
    /// The reference that the user gave.
    pub reference: Reference,
    /// The manifest to delete.
    pub raw: RawManifest,
    /// The tags of the digest that the user named.
    pub named: BTreeSet<Tag>,
    /// Every tag that points to the digest.
    pub tags: Vec<Tag>,
    /// The manifests that only this one references.
    pub children: Vec<Digest>,
    /// The artifacts of other tools that are deleted with it.
    pub attached: Vec<Attached>,
    /// The tags of the indexes that remain and that reference the manifest.
    pub(super) needing: Vec<Tag>,
}

impl DeleteSubject {
    /// A subject without its dependents.
    pub(super) fn bare(reference: Reference, raw: RawManifest) -> Self {
        Self {
            reference,
            raw,
            named: BTreeSet::new(),
            tags: Vec::new(),
            children: Vec::new(),
            attached: Vec::new(),
            needing: Vec::new(),
        }
    }

    /// The result of deleting it.
    #[must_use]
    pub fn deleted(&self) -> Deleted {
        Deleted {
            repository: self.reference.repository.clone(),
            digest: self.raw.digest.clone(),
            tags: self.tags.clone(),
            children: self.children.clone(),
            attached: self.attached.clone(),
            untagged: false,
        }
    }

    /// The result of removing one of its tags.
    #[must_use]
    pub fn untagged(&self, tag: &Tag) -> Deleted {
        Deleted {
            tags: vec![tag.clone()],
            children: Vec::new(),
            attached: Vec::new(),
            untagged: true,
            ..self.deleted()
        }
    }
}

/// The result of a deletion.
#[derive(Debug, Clone, Serialize)]
pub struct Deleted {
    /// The repository that it was deleted from.
    pub repository: Repository,
    /// The deleted digest; with `untagged` it still exists.
    pub digest: Digest,
    /// The deleted tags.
    pub tags: Vec<Tag>,
    /// The images of the index that were deleted with it.
    pub children: Vec<Digest>,
    /// The attached artifacts of other tools that were deleted with it.
    pub attached: Vec<Attached>,
    /// True if only the tag was removed.
    pub untagged: bool,
}

/// Removes a tag that some registries still list after its digest was deleted.
pub(super) async fn remove_leftover(repo: &Repo, tag: &Tag) -> Result<(), Error> {
    let reference = repo.name().tag(tag);
    let mut polling = repo.registry().polling();
    while repo.head(tag).await?.is_some() {
        if !polling.again().await {
            return Err(Error::Still(reference, polling.limit().as_secs()));
        }
    }
    if repo.tags().await?.contains(tag) {
        repo.delete_tag(tag).await?;
    }
    prove_gone(repo, &reference).await
}

/// Verifies that a reference is gone, and waits for registries that show it for a while. Polling
/// uses HEAD; the final check is a GET that accepts every media type and requires an error code for
/// "unknown" from the registry, because a 404 alone is not sufficient. A tag must also be absent
/// from the tag list.
pub(super) async fn prove_gone(repo: &Repo, reference: &Reference) -> Result<(), Error> {
    let target = reference.target();
    let mut polling = repo.registry().polling();
    let mut is_first = true;
    loop {
        let seems_gone = is_first || repo.head(&target).await?.is_none();
        if seems_gone && is_gone(repo, reference).await? {
            return Ok(());
        }
        is_first = false;
        if !polling.again().await {
            return Err(Error::Still(reference.clone(), polling.limit().as_secs()));
        }
    }
}

async fn is_gone(repo: &Repo, reference: &Reference) -> Result<bool, Error> {
    if repo.manifest(reference.target()).await?.is_some() {
        return Ok(false);
    }
    match reference.target() {
        Target::Tag(tag) => Ok(!repo.tags().await?.contains(&tag)),
        Target::Digest(_) => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tags_that_were_not_restored_need_a_command() {
        let hints = |restored| {
            let tags = vec!["1.2".parse().unwrap()];
            Error::Collateral { tags, restored }.hints()
        };
        assert_eq!(
            hints(false),
            ["restore the tags with `golden rollback` or `golden promote`"]
        );
        assert_eq!(hints(true), [""; 0]);
        let part = Error::Part {
            reference: "h.example/app:1.2.3".parse().unwrap(),
            tags: Vec::new(),
        };
        assert_eq!(
            part.hints(),
            ["delete the index; its images are deleted with it"]
        );
    }
}
