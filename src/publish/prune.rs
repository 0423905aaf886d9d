//! Retention: which old versions of a repository may go. Reading and deciding are apart, so that the rules have tables.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::attached::Attached;
use super::delete::{self, DeleteSubject, Deleted};
use crate::reference::{Digest, Reference, Repository, Tag, Target};
use crate::registry::{Inventory, Registry};
use crate::tags::{TagList, Variant};

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PruneRules {
    /// So many of the highest stable versions of each variant, at least.
    pub keep: usize,
    /// Whatever was made after this second since 1970. What has no time counts as new.
    pub newer_than: Option<i64>,
}

/// A version of a repository, as its tag says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct StoredVersion {
    tag: Tag,
    digest: Digest,
    created: Option<i64>,
}

/// What happens to a version, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PruneVerdict {
    /// The tag of the version.
    pub tag: Tag,
    /// What it names.
    pub digest: Digest,
    /// Whether it goes.
    pub prune: bool,
    /// Why it goes or stays.
    pub because: String,
}

/// The decision about a repository.
#[derive(Debug, Clone, Serialize)]
pub struct Pruning {
    /// The repository.
    pub repository: Repository,
    /// Every version, from the highest to the lowest of each variant.
    pub versions: Vec<PruneVerdict>,
    /// What other tools have attached to the versions that go, and goes with them.
    pub attached: Vec<Attached>,
}

impl Pruning {
    /// The digests that go, each with the tags that go with it.
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

/// Reads a repository and decides. `known` are variants that it has, whatever its tags tell. Nothing is deleted.
pub async fn examine(
    registry: &Registry,
    repository: &Repository,
    known: &BTreeSet<Variant>,
    rules: PruneRules,
) -> Result<Pruning, delete::Error> {
    let inventory = Inventory::read(registry, &repository.path).await?;
    let mut created = BTreeMap::new();
    if rules.newer_than.is_some() {
        for descriptor in inventory.tags.values() {
            let digest = &descriptor.digest;
            if !created.contains_key(digest) {
                let found = registry
                    .describe(&repository.path, &Target::from(digest))
                    .await?;
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
        repository: repository.clone(),
        versions,
        attached: Vec::new(),
    };
    let tags = pruning.going().into_values().flatten();
    let references: Vec<Reference> = tags.map(|tag| delete::tagged(repository, &tag)).collect();
    let subjects = delete::examine(registry, &references).await?;
    pruning.attached = subjects
        .into_iter()
        .flat_map(|subject| subject.attached)
        .collect();
    Ok(pruning)
}

fn seconds(text: &str) -> Option<i64> {
    OffsetDateTime::parse(text, &Rfc3339)
        .ok()
        .map(OffsetDateTime::unix_timestamp)
}

/// Deletes what was decided, digest by digest, each with proof. What changed since is found again and left alone.
pub async fn prune(registry: &Registry, pruning: &Pruning) -> Result<Vec<Deleted>, delete::Error> {
    let mut deleted = Vec::new();
    for (digest, tags) in pruning.going() {
        let tag = |tag| Reference {
            repository: pruning.repository.clone(),
            tag: Some(tag),
            digest: None,
        };
        let references: Vec<Reference> = tags.into_iter().map(tag).collect();
        for subject in delete::examine(registry, &references).await? {
            let DeleteSubject { raw, .. } = &subject;
            if raw.digest == digest {
                delete::check(&subject, false)?;
                deleted.push(delete::delete(registry, &subject).await?);
            }
        }
    }
    Ok(deleted)
}

/// The rules. A version goes only when every tag of its digest is a version that goes.
fn decide(
    inventory: &Inventory,
    known: &BTreeSet<Variant>,
    created: &BTreeMap<Digest, Option<i64>>,
    rules: PruneRules,
) -> Vec<PruneVerdict> {
    let mut verdicts = Vec::new();
    let mut versions_seen = BTreeSet::new();
    let told = TagList::new(inventory.tags.keys(), None, &[]).variants();
    for variant in told.union(known).map(Some).chain([None]) {
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
        let needed = inventory.needing(&verdict.digest);
        if let Some(tag) = staying {
            verdict.prune = false;
            verdict.because = format!("{tag} names the same digest");
        } else if let Some(tag) = needed.first() {
            verdict.prune = false;
            verdict.because = format!("it is part of the index {tag}");
        }
    }
    verdicts
}

fn one_variant(
    inventory: &Inventory,
    variant: Option<&Variant>,
    created: &BTreeMap<Digest, Option<i64>>,
    rules: PruneRules,
) -> Vec<(StoredVersion, PruneVerdict)> {
    let existing = TagList::new(inventory.tags.keys(), variant, &[]);
    let (mut stable, mut decided) = (0, Vec::new());
    for held in existing.versions().iter().rev() {
        let Some(found) = inventory.tags.get(&held.tag) else {
            continue;
        };
        let made = created.get(&found.digest).copied().flatten();
        let version = StoredVersion {
            tag: held.tag.clone(),
            digest: found.digest.clone(),
            created: made,
        };
        let is_stable = held.version.pre.is_empty();
        let (prune, because) = match rules.newer_than {
            // A pre-release counts for nothing; it goes once enough stable versions stand above it.
            _ if stable < rules.keep => (false, kept(rules.keep)),
            Some(limit) => match version.created {
                Some(made) if made < limit => (true, "it is old enough".to_owned()),
                Some(_) => (false, "it is too new".to_owned()),
                None => (false, "nobody knows how old it is".to_owned()),
            },
            None if rules.keep == 1 => (true, "a stable version is higher".to_owned()),
            None => (true, format!("{} stable versions are higher", rules.keep)),
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

fn kept(keep: usize) -> String {
    match keep {
        1 => "no stable version is higher".to_owned(),
        keep => format!("one of the {keep} highest versions"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{Descriptor, media};

    /// `tag=content` pairs, and what goes.
    fn going(tags: &str, keep: usize, newer_than: Option<i64>) -> String {
        going_of(tags, &[], keep, newer_than)
    }

    fn going_of(tags: &str, known: &[&str], keep: usize, newer_than: Option<i64>) -> String {
        let mut inventory = Inventory::default();
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
            PruneRules { keep, newer_than },
        );
        let going = verdicts.iter().filter(|verdict| verdict.prune);
        going
            .map(|verdict| verdict.tag.to_string())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn the_highest_versions_and_what_moving_tags_name_stay() {
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
    fn prereleases_go_when_enough_stable_versions_are_higher() {
        assert_eq!(
            going("1.0.0-rc.1=a 1.0.0=b 1.1.0-rc.1=c", 1, None),
            "1.0.0-rc.1"
        );
    }

    #[test]
    fn variants_count_for_themselves() {
        let tags = "1.0.0=a 1.1.0=b 1.0.0-alpine=c 1.1.0-alpine=d alpine=d";
        assert_eq!(going(tags, 1, None), "1.0.0-alpine 1.0.0");
        // Without the bare tag, what only a variant has tells; else the workspace does.
        let tags = "1.0.0=a 2.0.0=b 1.0.0-alpine=c 1.0-alpine=d 2.0.0-alpine=e";
        assert_eq!(going(tags, 1, None), "1.0.0-alpine 1.0.0");
        let tags = "1.0.0=a 2.0.0=b 1.0.0-alpine=c 2.0.0-alpine=e";
        assert_eq!(going_of(tags, &["alpine"], 1, None), "1.0.0-alpine 1.0.0");
    }

    #[test]
    fn age_is_counted_beside_the_number() {
        let tags = "1.0.0=a100 1.1.0=b200 1.2.0=c300 1.3.0=d";
        assert_eq!(going(tags, 0, Some(250)), "1.1.0 1.0.0");
        assert_eq!(going(tags, 3, Some(250)), "1.0.0");
    }
}
