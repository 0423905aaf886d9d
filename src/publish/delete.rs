//! Deletion by digest. Before it, golden finds everything that shares the digest; after it, golden
//! verifies that the digest is gone.

use std::collections::{BTreeMap, BTreeSet};

use super::attached::{self, Attached, needing};
pub use super::removal::{DeleteSubject, Deleted, Error};
use super::removal::{prove_gone, remove_leftover};
use super::superseded::remove_superseded;
use super::untag::untag;
use crate::image::{RepositoryInventory, children};
use crate::observe::Absent;
use crate::reference::{Digest, Reference, Tag, Target};
use crate::registry::Repo;
use crate::registry::referrers::subject_of;

/// Examines the planned deletions in one repository, without any change. Fails if a reference does
/// not exist, or if the tag list is incomplete.
pub async fn examine(repo: &Repo, references: &[Reference]) -> Result<Vec<DeleteSubject>, Error> {
    if references.is_empty() {
        return Ok(Vec::new());
    }
    let mut subjects: BTreeMap<Digest, DeleteSubject> = BTreeMap::new();
    for reference in references {
        let target = reference.target();
        let raw = repo.manifest(&target).await?;
        let Some(raw) = raw else {
            let absent = Absent::find(repo, reference).await;
            return Err(Error::Missing(Box::new(absent)));
        };
        let subject = subjects
            .entry(raw.digest.clone())
            .or_insert_with(|| DeleteSubject::bare(reference.clone(), raw));
        if let Target::Tag(tag) = target {
            subject.named.insert(tag);
        }
    }
    let inventory = RepositoryInventory::read(repo).await?;
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
            None => children(&subject.raw)
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
        subject.attached = attached::attached(repo, &inventory, gone).await?;
    }
    Ok(subjects.into_values().collect())
}

/// Lists a reference to each tag of a repository. Fails if the repository does not exist.
pub async fn everything(repo: &Repo) -> Result<Vec<Reference>, Error> {
    let list = repo.find_tags().await?;
    let list = list.ok_or_else(|| Error::NoRepository(repo.name().clone()))?;
    // A tag that is listed but cannot be read has nothing to delete.
    let tags = RepositoryInventory::heads(repo, list).await?;
    Ok(tags.keys().map(|tag| repo.name().tag(tag)).collect())
}

/// Fails if other tags point to the digest, unless `all_tags`, or if a tagged index needs it.
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

/// Deletes a digest with all its tags, then the images that only it referenced, and verifies that
/// all are gone. Fails if a tag was moved, or if the content still exists at the deadline.
pub async fn delete(repo: &Repo, subject: &DeleteSubject) -> Result<Deleted, Error> {
    let digest = &subject.raw.digest;
    for tag in &subject.tags {
        let now = repo.head(tag).await?;
        if now.is_some_and(|now| now.digest != *digest) {
            return Err(Error::Moved(repo.name().tag(tag)));
        }
    }
    repo.delete(digest).await?;
    for tag in &subject.tags {
        remove_leftover(repo, tag).await?;
    }
    prove_gone(repo, &subject.reference.at(digest.clone())).await?;
    let mut children = Vec::new();
    for child in &subject.children {
        if repo.delete(child).await? {
            prove_gone(repo, &subject.reference.at(child.clone())).await?;
            children.push(child.clone());
        }
    }
    if let Some(subject_digest) = subject_of(&subject.raw) {
        let superseded = repo.unlist_referrer(&subject_digest, digest).await?;
        remove_superseded(repo, &superseded).await;
    }
    delete_attached(repo, &subject.attached).await?;
    Ok(Deleted {
        children,
        ..subject.deleted()
    })
}

/// Deletes the artifacts of a deleted manifest, and verifies that they are gone.
async fn delete_attached(repo: &Repo, attached: &[Attached]) -> Result<(), Error> {
    for artifact in attached {
        if artifact.stays {
            for tag in &artifact.tags {
                untag(
                    repo,
                    &DeleteSubject::bare(repo.name().tag(tag), artifact.raw.clone()),
                    tag,
                )
                .await?;
            }
        } else {
            repo.delete(&artifact.digest).await?;
            for tag in &artifact.tags {
                remove_leftover(repo, tag).await?;
            }
            prove_gone(repo, &repo.name().digest(&artifact.digest)).await?;
        }
    }
    Ok(())
}
