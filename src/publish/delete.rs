//! Deletion by digest, with proof: what shares the digest is known before, and that it is gone after.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::attached::{self, Attached};
use crate::oci::RawManifest;
use crate::oci::artifact::ArtifactKind;
use crate::reference::{Digest, Reference, Repository, Tag, Target};
use crate::registry::referrers::subject_of;
use crate::registry::{self, Inventory, Registry};

/// Why something was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The registry could not be asked, or refused.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// There is nothing of that name.
    #[error("{0} is not there")]
    Missing(Reference),
    /// There is no such repository.
    #[error("the registry has no repository {0}")]
    NoRepository(Repository),
    /// Other tags name the same digest.
    #[error("{}", shared(reference, digest, tags))]
    Shared {
        /// What was to be deleted.
        reference: Reference,
        /// Its digest.
        digest: Digest,
        /// The other tags.
        tags: Vec<Tag>,
    },
    /// An index that stays needs it.
    #[error("{reference} is part of the index that {} {}", list(tags), if tags.len() == 1 { "names" } else { "name" })]
    Part {
        /// What was to be deleted.
        reference: Reference,
        /// The tags of the index.
        tags: Vec<Tag>,
    },
    /// Only a tag can be removed as a tag.
    #[error("{0} names no tag; --untag removes a tag")]
    NoTag(Reference),
    /// Somebody else moved the tag after it was looked at.
    #[error("{0} was moved by somebody else meanwhile; nothing was deleted")]
    Moved(Reference),
    /// The registry accepted the deletion, and the content still exists after this many seconds.
    #[error("{0} still exists {1} s after the registry accepted its deletion")]
    Still(Reference, u64),
    /// A tag went that should have stayed.
    #[error("the registry removed {} as well; {}", list(tags), if *restored { "they were put back" } else { "they could not be put back" })]
    Collateral {
        /// The tags.
        tags: Vec<Tag>,
        /// Whether they are there again.
        restored: bool,
    },
    /// The second step of removing a tag failed.
    #[error("{reference} could not be removed: {source}; {}", if *restored { "it was put back on its digest" } else { "it names an empty stand-in now, and could not be put back" })]
    HalfWay {
        /// The tag.
        reference: Reference,
        /// Whether it names what it named before.
        restored: bool,
        /// What failed.
        source: registry::Error,
    },
}

fn shared(reference: &Reference, digest: &Digest, tags: &[Tag]) -> String {
    match reference.target() {
        Target::Digest(_) => format!("{reference} has tags: {}", list(tags)),
        Target::Tag(_) => {
            let verb = if tags.len() == 1 { "is" } else { "are" };
            format!("{reference} is {digest}, and so {verb} {}", list(tags))
        }
    }
}

fn list(tags: &[Tag]) -> String {
    tags.iter().map(Tag::as_str).collect::<Vec<_>>().join(", ")
}

impl Error {
    /// Whether golden refused, as against failed.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Shared { .. } | Self::Part { .. })
    }

    /// What to do next.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Registry(error) | Self::HalfWay { source: error, .. } => error.hints(),
            Self::Shared { .. } => vec![
                "--all-tags deletes the digest with every tag that points to it".to_owned(),
                "--untag removes only the tag and leaves the digest and its other tags".to_owned(),
            ],
            Self::Part { .. } => vec!["delete the index; its images go with it".to_owned()],
            Self::Collateral {
                restored: false, ..
            } => {
                vec!["`golden rollback` or `golden promote` puts tags back".to_owned()]
            }
            _ => Vec::new(),
        }
    }
}

/// A digest that is to be deleted, with all that depends on it.
#[derive(Debug, Clone)]
pub struct DeleteSubject {
    /// What was asked for.
    pub reference: Reference,
    /// The manifest.
    pub raw: RawManifest,
    /// The tags that were named for it.
    pub named: BTreeSet<Tag>,
    /// Every tag that names it.
    pub tags: Vec<Tag>,
    /// The manifests that only it needs.
    pub children: Vec<Digest>,
    /// What other tools have attached to it, and goes with it.
    pub attached: Vec<Attached>,
    needing: Vec<Tag>,
}

/// What was deleted.
#[derive(Debug, Clone, Serialize)]
pub struct Deleted {
    /// The repository.
    pub repository: Repository,
    /// The digest that is gone; with `untagged` it is still there.
    pub digest: Digest,
    /// The tags that are gone.
    pub tags: Vec<Tag>,
    /// The images of an index that are gone with it.
    pub children: Vec<Digest>,
    /// What other tools had attached to it.
    pub attached: Vec<Attached>,
    /// Whether only the tag was removed.
    pub untagged: bool,
}

/// Looks at what is to be deleted in one repository. Nothing is changed.
pub async fn examine(
    registry: &Registry,
    references: &[Reference],
) -> Result<Vec<DeleteSubject>, Error> {
    let Some(first) = references.first() else {
        return Ok(Vec::new());
    };
    let path = &first.repository.path;
    let mut subjects: BTreeMap<Digest, DeleteSubject> = BTreeMap::new();
    for reference in references {
        let target = reference.target();
        let raw = registry.get_manifest(path, &target).await?;
        let raw = raw.ok_or_else(|| Error::Missing(reference.clone()))?;
        let subject = subjects
            .entry(raw.digest.clone())
            .or_insert_with(|| DeleteSubject::bare(reference.clone(), raw));
        if let Target::Tag(tag) = target {
            subject.named.insert(tag);
        }
    }
    let inventory = Inventory::read(registry, path).await?;
    let going: BTreeSet<Digest> = subjects.keys().cloned().collect();
    for (digest, subject) in &mut subjects {
        subject.tags = inventory.naming(digest);
        let stays = |tag: &Tag| {
            inventory
                .tags
                .get(tag)
                .is_some_and(|found| !going.contains(&found.digest))
        };
        subject.needing = needing(&inventory, digest)
            .into_iter()
            .filter(stays)
            .collect();
        let below = match inventory.children.get(digest) {
            Some(children) => children.clone(),
            None => registry::inventory::children(&subject.raw)
                .into_iter()
                .map(|child| child.digest)
                .collect(),
        };
        let unused = |child: &Digest| {
            let tagged = inventory.naming(child);
            tagged.is_empty() && !needing(&inventory, child).iter().any(stays)
        };
        subject.children = below.into_iter().filter(unused).collect();
        let gone = subject.children.iter().chain([digest]);
        subject.attached = attached::attached(registry, path, &inventory, gone).await?;
    }
    Ok(subjects.into_values().collect())
}

/// A reference to each tag of a repository.
pub async fn everything(
    registry: &Registry,
    repository: &Repository,
) -> Result<Vec<Reference>, Error> {
    let list = registry.find_tags(&repository.path).await?;
    let list = list.ok_or_else(|| Error::NoRepository(repository.clone()))?;
    // A tag that is listed and cannot be read has nothing to delete.
    let tags = Inventory::heads(registry, &repository.path, list).await?;
    Ok(tags.keys().map(|tag| tagged(repository, tag)).collect())
}

/// The tags of the indexes of images that need a digest. A list of referrers names it, and does not need it.
pub(super) fn needing(inventory: &Inventory, digest: &Digest) -> Vec<Tag> {
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

impl DeleteSubject {
    /// A manifest of which nothing more is known.
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

    /// What its deletion deletes.
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

    /// What the removal of one of its tags removes.
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

/// Refuses what would take more with it than was named.
pub fn check(subject: &DeleteSubject, all_tags: bool) -> Result<(), Error> {
    let DeleteSubject {
        reference,
        raw,
        named,
        tags,
        needing,
        ..
    } = subject;
    if !needing.is_empty() {
        return Err(Error::Part {
            reference: reference.clone(),
            tags: needing.clone(),
        });
    }
    let others: Vec<Tag> = tags
        .iter()
        .filter(|tag| !named.contains(*tag))
        .cloned()
        .collect();
    if all_tags || others.is_empty() {
        return Ok(());
    }
    Err(Error::Shared {
        reference: reference.clone(),
        digest: raw.digest.clone(),
        tags: others,
    })
}

/// Deletes a digest with every tag that names it, then the images that only it needed, and proves that all are gone.
pub async fn delete(registry: &Registry, subject: &DeleteSubject) -> Result<Deleted, Error> {
    let repository = &subject.reference.repository;
    let (path, digest) = (&repository.path, &subject.raw.digest);
    for tag in &subject.tags {
        let now = registry.head_manifest(path, &Target::from(tag)).await?;
        if now.is_some_and(|now| now.digest != *digest) {
            return Err(Error::Moved(tagged(repository, tag)));
        }
    }
    registry.delete_manifest(path, digest).await?;
    for tag in &subject.tags {
        remove_leftover(registry, repository, tag).await?;
    }
    prove_gone(registry, &subject.reference.at(digest.clone())).await?;
    let mut children = Vec::new();
    for child in &subject.children {
        if registry.delete_manifest(path, child).await? {
            prove_gone(registry, &subject.reference.at(child.clone())).await?;
            children.push(child.clone());
        }
    }
    if let Some(of) = subject_of(&subject.raw) {
        registry.unlist_referrer(path, &of, digest).await?;
    }
    attached::delete(registry, repository, &subject.attached).await?;
    Ok(Deleted {
        children,
        ..subject.deleted()
    })
}

/// Some registries list a tag although its digest was deleted.
pub(super) async fn remove_leftover(
    registry: &Registry,
    repository: &Repository,
    tag: &Tag,
) -> Result<(), Error> {
    let (path, reference) = (&repository.path, tagged(repository, tag));
    let mut polling = registry.polling();
    while registry
        .head_manifest(path, &reference.target())
        .await?
        .is_some()
    {
        if !polling.again().await {
            return Err(Error::Still(reference, polling.limit().as_secs()));
        }
    }
    if registry.tags(path).await?.contains(tag) {
        registry.delete_tag(path, tag).await?;
    }
    prove_gone(registry, &reference).await
}

/// The reference of a tag.
pub(super) fn tagged(repository: &Repository, tag: &Tag) -> Reference {
    Reference {
        repository: repository.clone(),
        tag: Some(tag.clone()),
        digest: None,
    }
}

/// Proves that something is gone, and waits for registries that show it for a while. HEAD polls; the proof is a GET with
/// every media type that the registry answers, in its own words, with "unknown". A bare 404 is none. A tag must be absent
/// from the list, too.
pub(super) async fn prove_gone(registry: &Registry, reference: &Reference) -> Result<(), Error> {
    let (path, target) = (&reference.repository.path, reference.target());
    let mut polling = registry.polling();
    let mut is_first = true;
    loop {
        let seems_gone = is_first || registry.head_manifest(path, &target).await?.is_none();
        if seems_gone && is_gone(registry, reference).await? {
            return Ok(());
        }
        is_first = false;
        if !polling.again().await {
            return Err(Error::Still(reference.clone(), polling.limit().as_secs()));
        }
    }
}

async fn is_gone(registry: &Registry, reference: &Reference) -> Result<bool, Error> {
    let path = &reference.repository.path;
    if registry
        .get_manifest(path, &reference.target())
        .await?
        .is_some()
    {
        return Ok(false);
    }
    match reference.target() {
        Target::Tag(tag) => Ok(!registry.tags(path).await?.contains(&tag)),
        Target::Digest(_) => Ok(true),
    }
}
