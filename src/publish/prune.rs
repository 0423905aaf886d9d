//! Retention: decides which old versions of a repository are deleted. Reading is separate from
//! deciding, so that the rules can be tested with tables.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::attached::{Attached, needing};
use super::delete::{self, DeleteSubject, Deleted};
use crate::image::{RepositoryInventory, describe};
use crate::observe::{self, ConfigCache};
use crate::reference::{Digest, Reference, Repository, Tag};
use crate::registry::{self, Repo};
use crate::tags::{TagList, Variant};

/// The versions to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PruneRules {
    /// The minimum number of stable versions to keep per variant, counted from the highest.
    pub keep: usize,
    /// Keep versions that are not older than this. A version without a creation time counts as
    /// new.
    pub older_than: Option<AgeLimit>,
}

/// The age from which versions are deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgeLimit {
    /// The age in seconds.
    pub age: i64,
    /// The current time, in seconds since 1970.
    pub now: i64,
}

impl AgeLimit {
    /// True if something that was created at this time is old enough.
    const fn is_exceeded(self, created: i64) -> bool {
        created < self.now - self.age
    }
}

impl std::fmt::Display for AgeLimit {
    /// Formats the age with the largest unit that divides it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let units = [
            (86_400, "day"),
            (3600, "hour"),
            (60, "minute"),
            (1, "second"),
        ];
        for (seconds, unit) in units {
            if self.age % seconds == 0 {
                let number = self.age / seconds;
                let plural = if number == 1 { "" } else { "s" };
                return write!(f, "{number} {unit}{plural}");
            }
        }
        Ok(())
    }
}

/// A version in a repository, according to its tag.
#[derive(Debug, Clone, PartialEq, Eq)]
struct StoredVersion {
    tag: Tag,
    digest: Digest,
    created: Option<i64>,
}

/// The decision about a version, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PruneVerdict {
    /// The tag of the version.
    pub tag: Tag,
    /// The digest that the tag points to.
    pub digest: Digest,
    /// True if the version is deleted.
    pub prune: bool,
    /// The reason for the decision.
    pub because: PruneReason,
}

/// The reason for the decision about a version. It is displayed as a clause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PruneReason {
    /// The version is one of this many stable ones that are kept.
    Highest(usize),
    /// The version is a pre-release, and fewer stable versions than this are higher.
    PreRelease(usize),
    /// The version is not one of this many that are kept.
    BeyondKeep(usize),
    /// The version is older than the limit.
    Older(AgeLimit),
    /// The version is not older than the limit.
    Newer(AgeLimit),
    /// The version has no creation time.
    UnknownAge,
    /// This tag, which stays, points to the same digest.
    HasTag(Tag),
    /// The index with this tag, which stays, contains the image.
    InIndex(Tag),
}

impl std::fmt::Display for PruneReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Highest(1) => f.write_str("the highest stable version"),
            Self::Highest(keep) => write!(f, "one of the highest {keep} stable versions"),
            Self::PreRelease(1) => f.write_str("a pre-release, and no stable version is higher"),
            Self::PreRelease(keep) => {
                write!(
                    f,
                    "a pre-release, and fewer than {keep} stable versions are higher"
                )
            }
            Self::BeyondKeep(keep) => write!(f, "beyond --keep {keep}"),
            Self::Older(limit) => write!(f, "older than {limit}"),
            Self::Newer(limit) => write!(f, "newer than {limit}"),
            Self::UnknownAge => f.write_str("its age is unknown"),
            Self::HasTag(tag) => write!(f, "`{tag}` points to it"),
            Self::InIndex(tag) => write!(f, "it is part of the index `{tag}`"),
        }
    }
}

impl Serialize for PruneReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The decisions about a repository.
#[derive(Debug, Clone, Serialize)]
pub struct Pruning {
    /// The repository that was examined.
    pub repository: Repository,
    /// Every version, from the highest to the lowest of each variant.
    pub versions: Vec<PruneVerdict>,
    /// The artifacts of other tools that are deleted with the versions.
    pub attached: Vec<Attached>,
}

impl Pruning {
    /// The digests to delete, each with its tags.
    #[must_use]
    pub fn going(&self) -> BTreeMap<Digest, BTreeSet<Tag>> {
        let mut going: BTreeMap<Digest, BTreeSet<Tag>> = BTreeMap::new();
        for verdict in self.versions.iter().filter(|verdict| verdict.prune) {
            going
                .entry(verdict.digest.clone())
                .or_default()
                .insert(verdict.tag.clone());
        }
        going
    }
}

/// Reads a repository and decides; nothing is deleted. `known` are variants that exist in addition
/// to those that the tags show. Fails if the tag list is incomplete.
pub async fn examine(
    repo: &Repo,
    known: &BTreeSet<Variant>,
    rules: PruneRules,
) -> Result<Pruning, delete::Error> {
    let inventory = read_complete(repo).await?;
    let mut created = BTreeMap::new();
    if rules.older_than.is_some() {
        for descriptor in inventory.tags.values() {
            let digest = &descriptor.digest;
            if !created.contains_key(digest) {
                let found = describe(repo, digest).await?;
                created.insert(
                    digest.clone(),
                    found
                        .as_ref()
                        .and_then(|found| found.created())
                        .and_then(seconds),
                );
            }
        }
    }
    let versions = decide(&inventory, known, &created, rules);
    let mut pruning = Pruning {
        repository: repo.name().clone(),
        versions,
        attached: Vec::new(),
    };
    let tags = pruning.going().into_values().flatten();
    let references: Vec<Reference> = tags.map(|tag| repo.name().tag(&tag)).collect();
    let subjects = delete::examine(repo, &references).await?;
    pruning.attached = subjects
        .into_iter()
        .flat_map(|subject| subject.attached)
        .collect();
    Ok(pruning)
}

/// Reads a repository. If a tag points to a version that the list of tags lacks, the list is read
/// again; the call fails if it stays incomplete.
async fn read_complete(repo: &Repo) -> Result<RepositoryInventory, registry::Error> {
    let inventory = RepositoryInventory::read(repo).await?;
    let digests: BTreeMap<Tag, Digest> = inventory
        .tags
        .iter()
        .map(|(tag, found)| (tag.clone(), found.digest.clone()))
        .collect();
    let list: Vec<Tag> = digests.keys().cloned().collect();
    let cache = ConfigCache::none();
    let claimed = observe::claimed_tags(repo, &list, &digests, &cache).await?;
    if claimed.is_empty() {
        return Ok(inventory);
    }
    repo.complete_tags(&claimed).await?;
    RepositoryInventory::read(repo).await
}

fn seconds(text: &str) -> Option<i64> {
    OffsetDateTime::parse(text, &Rfc3339)
        .ok()
        .map(OffsetDateTime::unix_timestamp)
}

/// Deletes the decided digests and verifies each deletion. A digest that changed since the decision
/// is examined again and kept. Fails at the first deletion that is refused or fails.
pub async fn prune(repo: &Repo, pruning: &Pruning) -> Result<Vec<Deleted>, delete::Error> {
    let mut deleted = Vec::new();
    for (digest, tags) in pruning.going() {
        let references: Vec<Reference> = tags.iter().map(|tag| repo.name().tag(tag)).collect();
        for subject in delete::examine(repo, &references).await? {
            let DeleteSubject { raw, .. } = &subject;
            if raw.digest == digest {
                delete::check(&subject, false)?;
                deleted.push(delete::delete(repo, &subject).await?);
            }
        }
    }
    Ok(deleted)
}

/// Applies the rules. A version is deleted only if every tag of its digest is a version to delete.
fn decide(
    inventory: &RepositoryInventory,
    known: &BTreeSet<Variant>,
    created: &BTreeMap<Digest, Option<i64>>,
    rules: PruneRules,
) -> Vec<PruneVerdict> {
    let mut verdicts = Vec::new();
    let mut versions_seen = BTreeSet::new();
    let listed = TagList::new(inventory.tags.keys(), None, &[]).variants();
    for variant in listed.union(known).map(Some).chain([None]) {
        for (version, verdict) in one_variant(inventory, variant, created, rules) {
            if versions_seen.insert(version.tag) {
                verdicts.push(verdict);
            }
        }
    }
    let going: BTreeSet<Tag> = verdicts
        .iter()
        .filter(|verdict| verdict.prune)
        .map(|verdict| verdict.tag.clone())
        .collect();
    for verdict in verdicts.iter_mut().filter(|verdict| verdict.prune) {
        let naming = inventory.naming(&verdict.digest);
        let staying = naming.iter().find(|tag| !going.contains(*tag));
        let needed = needing(inventory, &verdict.digest);
        if let Some(tag) = staying {
            verdict.prune = false;
            verdict.because = PruneReason::HasTag(tag.clone());
        } else if let Some(tag) = needed.first() {
            verdict.prune = false;
            verdict.because = PruneReason::InIndex(tag.clone());
        }
    }
    verdicts
}

fn one_variant(
    inventory: &RepositoryInventory,
    variant: Option<&Variant>,
    created: &BTreeMap<Digest, Option<i64>>,
    rules: PruneRules,
) -> Vec<(StoredVersion, PruneVerdict)> {
    let existing = TagList::new(inventory.tags.keys(), variant, &[]);
    let (mut stable, mut decided) = (0, Vec::new());
    for tagged in existing.versions().iter().rev() {
        let Some(found) = inventory.tags.get(&tagged.tag) else {
            continue;
        };
        let created_at = created.get(&found.digest).copied().flatten();
        let version = StoredVersion {
            tag: tagged.tag.clone(),
            digest: found.digest.clone(),
            created: created_at,
        };
        let is_stable = tagged.version.pre.is_empty();
        let (prune, because) = match rules.older_than {
            // Pre-releases are not counted; one is deleted once enough stable versions are higher.
            _ if stable < rules.keep && is_stable => (false, PruneReason::Highest(rules.keep)),
            _ if stable < rules.keep => (false, PruneReason::PreRelease(rules.keep)),
            Some(limit) => match version.created {
                Some(created_at) if limit.is_exceeded(created_at) => {
                    (true, PruneReason::Older(limit))
                }
                Some(_) => (false, PruneReason::Newer(limit)),
                None => (false, PruneReason::UnknownAge),
            },
            None => (true, PruneReason::BeyondKeep(rules.keep)),
        };
        stable += usize::from(is_stable);
        let verdict = PruneVerdict {
            tag: version.tag.clone(),
            digest: version.digest.clone(),
            prune,
            because,
        };
        decided.push((version, verdict));
    }
    decided
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{Descriptor, media};

    /// Takes `tag=content` pairs, and returns the tags to delete.
    fn going(tags: &str, keep: usize, newer_than: Option<i64>) -> String {
        going_of(tags, &[], keep, newer_than)
    }

    fn going_of(tags: &str, known: &[&str], keep: usize, newer_than: Option<i64>) -> String {
        let mut inventory = RepositoryInventory::default();
        let mut created = BTreeMap::new();
        for pair in tags.split(' ') {
            let (tag, content) = pair.split_once('=').unwrap();
            let descriptor = Descriptor::of(media::OCI_MANIFEST, content.as_bytes());
            created.insert(
                descriptor.digest.clone(),
                content.trim_matches(char::is_alphabetic).parse().ok(),
            );
            inventory.tags.insert(tag.parse().unwrap(), descriptor);
        }
        let known = known.iter().map(|name| name.parse().unwrap()).collect();
        let verdicts = decide(
            &inventory,
            &known,
            &created,
            PruneRules {
                keep,
                older_than: newer_than.map(|limit| AgeLimit { age: 0, now: limit }),
            },
        );
        let going = verdicts.iter().filter(|verdict| verdict.prune);
        going
            .map(|verdict| verdict.tag.to_string())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn the_highest_versions_and_targets_of_moving_tags_are_kept() {
        let tags = "1.0.0=a 1.1.0=b 1.1=b 1.2.0=c 1=c 2.0.0=d 2=d latest=d";
        assert_eq!(going(tags, 1, None), "1.0.0");
        assert_eq!(going(tags, 9, None), "");
        assert_eq!(
            going("1.0.0=a 1.1.0=a 1.2.0=b", 2, None),
            "",
            "1.0.0 shares its digest with 1.1.0"
        );
        assert_eq!(going("1.0.0=a 1.1.0=a 1.2.0=b", 1, None), "1.1.0 1.0.0");
        assert_eq!(
            going("1.0.0=a 1.0.0_r1=b 1.0.0_r2=c", 1, None),
            "1.0.0_r1 1.0.0"
        );
    }

    #[test]
    fn pre_releases_are_deleted_when_enough_stable_versions_are_higher() {
        assert_eq!(
            going("1.0.0-rc.1=a 1.0.0=b 1.1.0-rc.1=c", 1, None),
            "1.0.0-rc.1"
        );
    }

    #[test]
    fn each_variant_is_counted_separately() {
        let tags = "1.0.0=a 1.1.0=b 1.0.0-alpine=c 1.1.0-alpine=d alpine=d";
        assert_eq!(going(tags, 1, None), "1.0.0-alpine 1.0.0");
        // Without the bare tag, the variant is known from tags that only a variant has, or from the
        // workspace.
        let tags = "1.0.0=a 2.0.0=b 1.0.0-alpine=c 1.0-alpine=d 2.0.0-alpine=e";
        assert_eq!(going(tags, 1, None), "1.0.0-alpine 1.0.0");
        let tags = "1.0.0=a 2.0.0=b 1.0.0-alpine=c 2.0.0-alpine=e";
        assert_eq!(going_of(tags, &["alpine"], 1, None), "1.0.0-alpine 1.0.0");
    }

    #[test]
    fn age_is_considered_in_addition_to_the_number() {
        let tags = "1.0.0=a100 1.1.0=b200 1.2.0=c300 1.3.0=d";
        assert_eq!(going(tags, 0, Some(250)), "1.1.0 1.0.0");
        assert_eq!(going(tags, 3, Some(250)), "1.0.0");
    }

    #[test]
    fn a_creation_time_is_read_in_seconds() {
        assert_eq!(seconds("1970-01-01T00:01:40Z"), Some(100));
        assert_eq!(seconds("1970-01-01T01:00:02+01:00"), Some(2));
        assert_eq!(seconds("yesterday"), None);
    }
}
