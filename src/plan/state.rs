//! What a repository has of an image, as far as it was read.

use std::collections::BTreeMap;

use semver::Version;

use super::current;
use crate::reference::{Digest, Repository, Tag};
use crate::render::Recipe;
use crate::resolve::ResolvedImage;
use crate::snapshot::{Observed, ObservedRepository, Published};
use crate::tags::{self, TagList, TaggedVersion};

/// What a repository has of an image.
#[derive(Debug)]
pub(super) struct RepositoryState<'a> {
    pub(super) repository: Repository,
    /// The versions that count.
    pub(super) existing: TagList,
    /// All versions, withdrawn ones included.
    pub(super) all: TagList,
    /// The digest of each tag that was read.
    pub(super) digests: &'a BTreeMap<Tag, Digest>,
    pub(super) standing: PlanComparison<'a>,
}

/// How what is published compares with what the recipe makes.
#[derive(Debug)]
pub(super) enum PlanComparison<'a> {
    /// This version does not exist.
    Absent,
    /// It exists with equal inputs, as this version or as one of its revisions.
    Same(Version, &'a Published),
    /// It exists with other inputs.
    Changed(Version, &'a Published),
    /// It exists, and the registry lost a part of it.
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
        // What is withdrawn still exists: it is only not compared with.
        let all = TagList::new(tags, image.variant.as_ref(), &[]);
        let existing = TagList::new(tags, image.variant.as_ref(), &image.tags.withdrawn);
        let standing = |held: &TaggedVersion| match published.get(&held.tag) {
            Some(found) if found.inputs.as_ref() == Some(&recipe.inputs) => {
                PlanComparison::Same(held.version.clone(), found)
            }
            Some(found) => PlanComparison::Changed(held.version.clone(), found),
            None => PlanComparison::Damaged(held.version.clone()),
        };
        let standing = match (
            current(&image.version, &all),
            current(&image.version, &existing),
        ) {
            (None, _) => PlanComparison::Absent,
            // The content of a withdrawn revision stays withdrawn; other content is compared with what counts.
            (Some(last), Some(counts)) if last != counts => match standing(last) {
                same @ PlanComparison::Same(..) => same,
                _ => standing(counts),
            },
            (Some(last), _) => standing(last),
        };
        Self {
            repository: repository.clone(),
            existing,
            all,
            digests,
            standing,
        }
    }

    /// What is published with the recipe's inputs as `version`.
    pub(super) fn same_as(&self, version: &Version) -> Option<&'a Published> {
        match &self.standing {
            PlanComparison::Same(found, published) if found == version => Some(published),
            _ => None,
        }
    }

    /// Whether it has `version`, and lost a part of it.
    pub(super) fn is_damaged(&self, version: &Version) -> bool {
        matches!(&self.standing, PlanComparison::Damaged(found) if found == version)
    }

    /// Whether it has the tag that golden gives a version: it may have only another spelling, such as `v1.2.3`.
    pub(super) fn has_tag_of(&self, version: &Version, image: &ResolvedImage) -> bool {
        let out = tags::fan_out(version, image.variant.as_ref(), &image.tags);
        out.is_ok_and(|out| self.all.has(out.full()))
    }

    /// A version whose own tag points to `digest`, which is the image of `version`.
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
