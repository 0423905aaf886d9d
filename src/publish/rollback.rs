//! Rollback: points the moving tags to an older version again.

use std::collections::BTreeMap;

use semver::Version;
use serde::Serialize;

use super::Error;
use super::hold::put_and_hold;
use crate::oci::RawManifest;
use crate::plan::current;
use crate::reference::{Digest, Repository, Tag};
use crate::registry::Repo;
use crate::tags::{
    self, PlannedTag, TagError, TagList, TagRole, TagRules, TaggedVersion, Variant, Withdrawn,
    is_withdrawn,
};

/// The planned changes of a rollback, computed from the tag names only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollback {
    /// The version to roll back to, with its tag.
    pub to: TaggedVersion,
    /// The tags to move to it, from the most specific to the least.
    pub tags: Vec<Tag>,
    /// The extra tags that exist. Each one moves only if it points to the same digest as one of
    /// `tags`, so that, for example, one on a pre-release does not.
    pub extra: Vec<Tag>,
    /// The versions to withdraw, because otherwise the next run moves the tags forward again:
    /// sorted, including those that are already withdrawn, without the version to roll back to.
    pub withdrawn: Vec<Version>,
}

/// The result of a rollback in one registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RolledBack {
    /// The repository of the tags.
    pub repository: Repository,
    /// The version that the tags now point to.
    pub version: Version,
    /// The digest of that version.
    pub digest: Digest,
    /// Every tag that now points to it.
    pub tags: Vec<RollbackTag>,
    /// The versions to withdraw.
    pub withdrawn: Vec<Version>,
}

/// A tag of a rollback, and the digest that it pointed to before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RollbackTag {
    /// The name of the tag.
    pub tag: Tag,
    /// The digest that it pointed to before; `None` if it did not exist.
    pub previous: Option<Digest>,
}

/// Decides a rollback. Returns `None` if the repository does not have the version. Fails if the
/// version cannot be converted to tags.
pub fn decide(
    tags: &[Tag],
    version: &Version,
    variant: Option<&Variant>,
    rules: &TagRules,
) -> Result<Option<Rollback>, TagError> {
    let existing = TagList::new(tags, variant, &[]);
    let Some(to) = current(version, &existing) else {
        return Ok(None);
    };
    let out = tags::fan_out(&to.version, variant, rules)?;
    let named = |is_extra: bool| {
        let chosen = out
            .tags
            .iter()
            .skip(1)
            .filter(move |planned| (planned.role == TagRole::Extra) == is_extra);
        chosen.map(|planned| planned.tag.clone())
    };
    let moving: Vec<Tag> = named(false).collect();
    let extra = named(true).filter(|tag| existing.has(tag)).collect();
    let moves = |planned: &&PlannedTag| !matches!(planned.role, TagRole::Full | TagRole::Extra);
    let scope = |v: &Version| {
        out.tags
            .iter()
            .filter(moves)
            .any(|planned| planned.role.covers(&to.version, v))
    };
    let higher = existing
        .versions()
        .iter()
        .map(|tagged| &tagged.version)
        .filter(|v| v.pre.is_empty() && scope(v) && tags::precedence(v, &to.version).is_gt());
    let entry_for = |v: &Version| {
        if v.cmp_precedence(&to.version).is_eq() {
            v.clone()
        } else {
            plain(v)
        }
    };
    let counts = |gone: &&Withdrawn| !is_withdrawn(&to.version, std::slice::from_ref(*gone));
    let already = rules.withdrawn.iter().filter(counts);
    let already = already.filter_map(Withdrawn::version).cloned();
    let mut withdrawn: Vec<Version> = already.chain(higher.map(entry_for)).collect();
    withdrawn.sort_by(tags::precedence);
    withdrawn.dedup();
    Ok(Some(Rollback {
        to: to.clone(),
        tags: moving,
        extra,
        withdrawn,
    }))
}

fn plain(version: &Version) -> Version {
    Version {
        build: semver::BuildMetadata::EMPTY,
        ..version.clone()
    }
}

/// The state of a registry before a rollback.
#[derive(Debug, Clone)]
pub struct RollbackState {
    /// The manifest of the version to roll back to.
    raw: RawManifest,
    /// Every tag that will point to it, with its current digest.
    tags: Vec<RollbackTag>,
}

/// Reads the digests that the tags point to. Fails if the version does not exist.
pub async fn examine(repo: &Repo, rollback: &Rollback) -> Result<RollbackState, Error> {
    let raw = get(repo, &rollback.to.tag).await?;
    let mut tags: Vec<RollbackTag> = Vec::with_capacity(rollback.tags.len());
    for tag in rollback.tags.iter().chain(&rollback.extra) {
        let found = repo.head(tag).await?;
        let previous = found.map(|descriptor| descriptor.digest);
        let goes_along = || {
            let is_same = |returned: &RollbackTag| returned.previous == previous;
            previous.as_ref() == Some(&raw.digest)
                || tags.iter().take(rollback.tags.len()).any(is_same)
        };
        if !rollback.extra.contains(tag) || previous.is_some() && goes_along() {
            tags.push(RollbackTag {
                tag: tag.clone(),
                previous,
            });
        }
    }
    Ok(RollbackState { raw, tags })
}

impl RollbackState {
    /// The result of the rollback in this registry.
    #[must_use]
    pub fn outcome(&self, repository: &Repository, rollback: &Rollback) -> RolledBack {
        RolledBack {
            repository: repository.clone(),
            version: rollback.to.version.clone(),
            digest: self.raw.digest.clone(),
            tags: self.tags.clone(),
            withdrawn: rollback.withdrawn.clone(),
        }
    }

    /// The tags that do not yet point to the version, from the least specific to the most.
    pub fn moving(&self) -> impl Iterator<Item = &Tag> {
        let is_elsewhere =
            |returned: &&RollbackTag| returned.previous.as_ref() != Some(&self.raw.digest);
        self.tags
            .iter()
            .rev()
            .filter(is_elsewhere)
            .map(|returned| &returned.tag)
    }
}

/// Moves the tags to the version and verifies each. The least specific tag moves first, so that
/// after an interruption the next rollback still finds all remaining tags. Fails if a tag does not
/// point to the version at the deadline.
pub async fn roll_back(repo: &Repo, examined: &RollbackState) -> Result<(), Error> {
    let raw = &examined.raw;
    let tags: Vec<Tag> = examined.moving().cloned().collect();
    let previous: BTreeMap<Tag, Digest> = examined
        .tags
        .iter()
        .filter_map(|found| Some((found.tag.clone(), found.previous.clone()?)))
        .collect();
    if let Some(wrong) = put_and_hold(repo, &tags, raw, &previous).await? {
        return Err(wrong.into());
    }
    Ok(())
}

async fn get(repo: &Repo, tag: &Tag) -> Result<RawManifest, Error> {
    let found = repo.manifest(tag).await?;
    found.ok_or_else(|| Error::Vanished(repo.name().tag(tag)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rolled(tags: &str, to: &str) -> (String, String) {
        let tags: Vec<Tag> = tags.split(' ').map(|tag| tag.parse().unwrap()).collect();
        let found = decide(&tags, &to.parse().unwrap(), None, &TagRules::default())
            .unwrap()
            .unwrap();
        let join = |parts: Vec<String>| parts.join(" ");
        (
            join(found.tags.iter().map(ToString::to_string).collect()),
            join(found.withdrawn.iter().map(ToString::to_string).collect()),
        )
    }

    #[test]
    fn a_rollback_moves_tags_and_withdraws_higher_versions() {
        let all = "1.2.2 1.2.3 1.2.3_r1 1.3.0 2.0.0 3.0.0-rc.1 1 1.2 latest";
        assert_eq!(
            rolled(all, "1.2.2"),
            ("1.2 1 latest".into(), "1.2.3 1.3.0 2.0.0".into())
        );
        assert_eq!(
            rolled("1.2.3 1.2.3_r1 1.2.3_r2", "1.2.3+r1"),
            ("1.2.3 1.2 1 latest".into(), "1.2.3+r2".into())
        );
        let rules = TagRules {
            extra: vec!["edge".into(), "stable".into()],
            withdrawn: vec![Version::new(1, 2, 3).into(), Version::new(0, 1, 0).into()],
            ..TagRules::default()
        };
        let tags: Vec<Tag> = all
            .split(' ')
            .chain(["edge"])
            .map(|tag| tag.parse().unwrap())
            .collect();
        let found = decide(&tags, &Version::new(1, 3, 0), None, &rules)
            .unwrap()
            .unwrap();
        assert_eq!(found.extra, ["edge".parse().unwrap()]);
        assert_eq!(
            found.withdrawn,
            [
                Version::new(0, 1, 0),
                Version::new(1, 2, 3),
                Version::new(2, 0, 0)
            ]
        );
        // The version that is rolled back to is no longer withdrawn.
        let found = decide(&tags, &"1.2.3+r1".parse().unwrap(), None, &rules)
            .unwrap()
            .unwrap();
        assert_eq!(
            found.withdrawn,
            [
                Version::new(0, 1, 0),
                Version::new(1, 3, 0),
                Version::new(2, 0, 0)
            ]
        );
        let none = decide(&[], &Version::new(1, 0, 0), None, &TagRules::default());
        assert_eq!(none, Ok(None));
    }
}
