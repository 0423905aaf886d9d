//! Deletes images by digest, or removes single tags.

use std::collections::{BTreeMap, BTreeSet};

use super::error::Error;
use super::scope::CommandScope;
use crate::publish::delete::{self, DeleteSubject, Deleted};
use crate::publish::untag::untag;
use crate::reference::{Reference, Repository, Tag, Target};
use crate::registry::Repo;
use crate::resolve::Destination;
use crate::tags::has_patch;

/// The request to delete images.
#[derive(Debug)]
pub struct DeleteRequest {
    /// The references or workspace images, by tag or digest; with `repository`, the repositories.
    pub references: Vec<String>,
    /// True if a digest is deleted with every tag that points to it.
    pub all_tags: bool,
    /// True if everything in the repositories is deleted.
    pub repository: bool,
    /// True if only the tags are removed.
    pub untag: bool,
}

/// The deletions of a command, before the user confirms them.
#[derive(Debug)]
pub struct PlannedDeletion {
    work: Vec<(Repo, DeleteSubject)>,
    untag: bool,
    /// The tags that remain in each repository that loses tags which are not versions.
    pub kept: BTreeMap<Repository, Vec<Tag>>,
}

impl PlannedDeletion {
    /// Examines everything to delete, without any change. Fails if a deletion would also affect tags
    /// that the request does not name.
    pub async fn plan(request: &DeleteRequest, scope: &CommandScope) -> Result<Self, Error> {
        let mut repositories: BTreeMap<Repository, Vec<Reference>> = BTreeMap::new();
        for text in &request.references {
            for reference in scope.names.references(text)? {
                let is_registry = |one: &Destination| one.name == *text;
                if !scope.names.has(text) && scope.destinations.registries.iter().any(is_registry) {
                    return Err(
                        Error::invalid(format!("`{text}` is a registry, not an image")).hint(
                            format!("`golden ls --registry {text}` lists its repositories"),
                        ),
                    );
                }
                check_form(request, text, &reference)?;
                if request.untag && matches!(reference.target(), Target::Digest(_)) {
                    return Err(Error::invalid(delete::Error::NoTag(reference)));
                }
                let known = repositories.entry(reference.repository.clone());
                known.or_default().push(reference);
            }
        }
        let registries = scope.registries(&request.references)?;
        let (mut work, mut kept) = (Vec::new(), BTreeMap::new());
        for (repository, mut references) in repositories {
            let repo = registries.repo(&repository);
            if request.repository {
                references = delete::everything(&repo).await?;
            }
            let subjects = delete::examine(&repo, &references).await?;
            if !request.untag {
                for subject in &subjects {
                    delete::check(subject, request.all_tags)?;
                }
                let gone: BTreeSet<&Tag> = subjects.iter().flat_map(|one| &one.tags).collect();
                if !gone.iter().all(|tag| has_patch(tag)) {
                    let tags = repo.tags().await?.into_iter();
                    let remain = tags.filter(|tag| !gone.contains(tag)).collect();
                    kept.insert(repository, remain);
                }
            }
            work.extend(subjects.into_iter().map(|subject| (repo.clone(), subject)));
        }
        Ok(Self {
            work,
            untag: request.untag,
            kept,
        })
    }

    /// The planned deletions, as they are reported.
    #[must_use]
    pub fn planned(&self) -> Vec<Deleted> {
        let subjects = self.work.iter().map(|(_, subject)| subject);
        if self.untag {
            let tags = |subject: &DeleteSubject| -> Vec<Deleted> {
                let tags = subject.named.iter();
                tags.map(|tag| subject.untagged(tag)).collect()
            };
            subjects.flat_map(tags).collect()
        } else {
            subjects.map(DeleteSubject::deleted).collect()
        }
    }

    /// Deletes everything, and verifies each deletion.
    pub async fn execute(&self) -> Result<Vec<Deleted>, Error> {
        let mut deleted = Vec::new();
        for (repo, subject) in &self.work {
            if self.untag {
                for tag in &subject.named {
                    deleted.push(untag(repo, subject, tag).await?);
                }
            } else {
                deleted.push(delete::delete(repo, subject).await?);
            }
        }
        Ok(deleted)
    }
}

/// Fails if the reference is a repository and `--repository` is not given, or the reverse.
fn check_form(request: &DeleteRequest, text: &str, reference: &Reference) -> Result<(), Error> {
    let is_repository = reference.tag.is_none() && reference.digest.is_none();
    match (request.repository, is_repository) {
        (false, true) => Err(Error::invalid(format!(
            "`{text}` is a repository; specify a tag or a digest"
        ))
        .hint(format!("`golden ls {text}` lists its tags"))
        .hint(format!(
            "`golden delete {text} --repository` deletes everything in it"
        ))),
        (true, false) => Err(Error::invalid(format!(
            "`{text}` is an image; --repository deletes repositories"
        ))
        .hint(format!(
            "golden delete {} --repository",
            reference.repository
        ))),
        _ => Ok(()),
    }
}
