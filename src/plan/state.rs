//! The state of an image in a repository, as observed.

use std::collections::BTreeMap;

use semver::Version;

use super::current;
use crate::reference::{Digest, Repository, Tag};
use crate::render::Recipe;
use crate::resolve::ResolvedImage;
use crate::snapshot::{Observed, ObservedRepository, Published};
use crate::tags::{self, TagList, TaggedVersion};

/// The state of an image in a repository.
#[derive(Debug)]
pub(super) struct RepositoryState<'a> {
    pub(super) repository: Repository,
    /// The versions that are not withdrawn.
    pub(super) existing: TagList,
    /// All versions, including withdrawn ones.
    pub(super) all: TagList,
    /// The digest of each tag that was read.
    pub(super) digests: &'a BTreeMap<Tag, Digest>,
    pub(super) comparison: PlanComparison<'a>,
}

/// The comparison of the published image with the recipe.
#[derive(Debug)]
pub(super) enum PlanComparison<'a> {
    /// The version does not exist.
    Absent,
    /// The version or one of its revisions exists with the same inputs.
    Same(Version, &'a Published),
    /// The version exists with other inputs.
    Changed(Version, &'a Published),
    /// The version exists, but the registry lost a part of it.
    Damaged(Version),
}

impl<'a> RepositoryState<'a> {
    pub(super) fn of(recipe: &Recipe, observed: &'a Observed, repository: &Repository) -> Self {
        static NOTHING: ObservedRepository = ObservedRepository {
            tags: Vec::new(),
            digests: BTreeMap::new(),
            published: BTreeMap::new(),
        };
        let image = &recipe.image;
        let ObservedRepository {
            tags,
            digests,
            published,
        } = observed.repositories.get(repository).unwrap_or(&NOTHING);
        // Withdrawn tags still exist; they are only excluded from comparison.
        let all = TagList::new(tags, image.variant.as_ref(), &[]);
        let existing = TagList::new(tags, image.variant.as_ref(), &image.tags.withdrawn);
        let compare = |held: &TaggedVersion| match published.get(&held.tag) {
            Some(found) if found.inputs.as_ref() == Some(&recipe.inputs) => {
                PlanComparison::Same(held.version.clone(), found)
            }
            Some(found) => PlanComparison::Changed(held.version.clone(), found),
            None => PlanComparison::Damaged(held.version.clone()),
        };
        let comparison = match (
            current(&image.version, &all),
            current(&image.version, &existing),
        ) {
            (None, _) => PlanComparison::Absent,
            // If the withdrawn revision has our inputs, it stays withdrawn. Otherwise compare with
            // the latest valid revision.
            (Some(last), Some(valid)) => match compare(last) {
                same @ PlanComparison::Same(..) => same,
                _ => compare(valid),
            },
            (Some(last), None) => compare(last),
        };
        Self {
            repository: repository.clone(),
            existing,
            all,
            digests,
            comparison,
        }
    }

    /// The published image, if `version` is published with the recipe's inputs.
    pub(super) fn same_as(&self, version: &Version) -> Option<&'a Published> {
        match &self.comparison {
            PlanComparison::Same(found, published) if found == version => Some(published),
            _ => None,
        }
    }

    /// True if the registry lost a part of `version`.
    pub(super) fn is_damaged(&self, version: &Version) -> bool {
        matches!(&self.comparison, PlanComparison::Damaged(found) if found == version)
    }

    /// True if the repository has golden's tag for a version, not only another spelling such as
    /// `v1.2.3`.
    pub(super) fn has_tag_of(&self, version: &Version, image: &ResolvedImage) -> bool {
        let out = tags::fan_out(version, image.variant.as_ref(), &image.tags);
        out.is_ok_and(|out| self.all.has(out.full()))
    }

    /// Another version whose tag points to `digest`, which is the image of `version`.
    pub(super) fn overwritten_with(
        &self,
        digest: &Digest,
        version: &Version,
    ) -> Option<&TaggedVersion> {
        self.existing.versions().iter().find(|held| {
            !held.version.cmp_precedence(version).is_eq()
                && self.digests.get(&held.tag) == Some(digest)
        })
    }
}
