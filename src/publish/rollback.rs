//! Rolling back: the moving tags of a version are put back on it.

use std::collections::BTreeMap;

use semver::Version;
use serde::Serialize;

use super::Error;
use super::hold::put_and_hold;
use crate::oci::RawManifest;
use crate::plan::current;
use crate::reference::{Digest, Repository, Tag, Target};
use crate::registry::Registry;
use crate::tags::{
    self, PlannedTag, TagError, TagList, TagRole, TagRules, TaggedVersion, Variant, is_withdrawn,
};

/// What a rollback would do. Pure, from the names of the tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollback {
    /// The version, with its tag.
    pub to: TaggedVersion,
    /// The tags that are put on it, from the most specific to the least.
    pub tags: Vec<Tag>,
    /// The extra tags that are there. Each goes along when it is where one of `tags` is: on what is rolled back, and
    /// not on a pre-release, say.
    pub extra: Vec<Tag>,
    /// What has to be withdrawn, or the next run moves the tags forward again: sorted, with what is withdrawn already,
    /// without what the tags are put on.
    pub withdrawn: Vec<Version>,
}

/// What a rollback did in one registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RolledBack {
    /// The repository.
    pub repository: Repository,
    /// The version that the tags are on now.
    pub version: Version,
    /// Its digest.
    pub digest: Digest,
    /// Every tag that is on it now.
    pub tags: Vec<Returned>,
    /// What has to be withdrawn.
    pub withdrawn: Vec<Version>,
}

/// A tag that was put on an older version, or was there already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Returned {
    /// The tag.
    pub tag: Tag,
    /// What it named before.
    pub previous: Option<Digest>,
}

/// Decides a rollback; none when the repository has no such version.
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
    let mut moving: Vec<Tag> = named(false).collect();
    let extra = named(true).filter(|tag| existing.has(tag)).collect();
    // After a revision the plain tag of the version is a moving one, too.
    if to.tag != *out.full() {
        moving.retain(|tag| *tag != to.tag);
    }
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
        .map(|held| &held.version)
        .filter(|v| v.pre.is_empty() && scope(v) && tags::precedence(v, &to.version).is_gt());
    let whole = |v: &Version| {
        if v.cmp_precedence(&to.version).is_eq() {
            v.clone()
        } else {
            plain(v)
        }
    };
    let counts = |gone: &&Version| !is_withdrawn(&to.version, std::slice::from_ref(*gone));
    let before = rules.withdrawn.iter().filter(counts).cloned();
    let mut withdrawn: Vec<Version> = before.chain(higher.map(whole)).collect();
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

/// What a rollback finds in a registry before it moves anything.
#[derive(Debug, Clone)]
pub struct Examined {
    /// The manifest of the version.
    raw: RawManifest,
    /// Every tag that belongs on it, with what it names.
    tags: Vec<Returned>,
}

/// Reads what the tags name.
pub async fn examine(
    registry: &Registry,
    repository: &Repository,
    rollback: &Rollback,
) -> Result<Examined, Error> {
    let path = &repository.path;
    let raw = get(registry, repository, &rollback.to.tag).await?;
    let mut tags: Vec<Returned> = Vec::with_capacity(rollback.tags.len());
    for tag in rollback.tags.iter().chain(&rollback.extra) {
        let found = registry.head_manifest(path, &Target::from(tag)).await?;
        let previous = found.map(|descriptor| descriptor.digest);
        let goes_along = || {
            let is_there = |returned: &Returned| returned.previous == previous;
            previous.as_ref() == Some(&raw.digest)
                || tags.iter().take(rollback.tags.len()).any(is_there)
        };
        if !rollback.extra.contains(tag) || previous.is_some() && goes_along() {
            tags.push(Returned {
                tag: tag.clone(),
                previous,
            });
        }
    }
    Ok(Examined { raw, tags })
}

impl Examined {
    /// What the rollback does in this registry.
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

    /// The tags that are elsewhere, from the least specific to the most.
    pub fn moving(&self) -> impl Iterator<Item = &Tag> {
        let behind = |returned: &&Returned| returned.previous.as_ref() != Some(&self.raw.digest);
        self.tags
            .iter()
            .rev()
            .filter(behind)
            .map(|returned| &returned.tag)
    }
}

/// Puts the tags on the version, and reads each back. The least specific goes first: of a rollback that broke off, the next
/// one sees all that is left to do.
pub async fn roll_back(
    registry: &Registry,
    repository: &Repository,
    examined: &Examined,
) -> Result<(), Error> {
    let raw = &examined.raw;
    let wanted: Vec<Tag> = examined.moving().cloned().collect();
    let previous: BTreeMap<Tag, Digest> = examined
        .tags
        .iter()
        .filter_map(|found| Some((found.tag.clone(), found.previous.clone()?)))
        .collect();
    if let Some(wrong) = put_and_hold(registry, repository, &wanted, raw, &previous).await? {
        return Err(wrong.into());
    }
    Ok(())
}

async fn get(
    registry: &Registry,
    repository: &Repository,
    tag: &Tag,
) -> Result<RawManifest, Error> {
    let found = registry
        .get_manifest(&repository.path, &Target::from(tag))
        .await?;
    found.ok_or_else(|| {
        let reference = crate::reference::Reference {
            repository: repository.clone(),
            tag: Some(tag.clone()),
            digest: None,
        };
        Error::Vanished(reference)
    })
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
    fn moving_tags_and_what_is_withdrawn() {
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
            withdrawn: vec![Version::new(1, 2, 3), Version::new(0, 1, 0)],
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
        // What the tags are put on counts again.
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
