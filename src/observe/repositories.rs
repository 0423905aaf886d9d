//! Reads the destination repositories: their tags, and the digests of the tags that matter for the
//! plan.
//!
//! The number of requests is kept low: per repository one list of tags, one HEAD request for each
//! tag of the fan-outs, and the config of each version once. Configs are cached by the digest of
//! their manifest.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::lists::claimed_tags;
use super::{CONCURRENT, ConfigCache, Error};
use crate::image::first_config;
use crate::oci::{ImageConfig, RawManifest};
use crate::plan;
use crate::reference::{Digest, Repository, Tag};
use crate::registry::{Registries, Repo};
use crate::render::{INPUTS, Recipe};
use crate::resolve::Destination;
use crate::snapshot::{Observed, ObservedRepository, Published};
use crate::tags::{self, TagList};

/// The pauses between reads of a tag that is listed but cannot be read, before its manifest counts
/// as missing. distribution lists a tag shortly before it can be read while another publisher
/// writes it.
const READ_PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];

/// Reads every repository that `recipes` are published to, and adds the result to `observed`. Fails
/// if a repository cannot be read.
pub async fn repositories(
    recipes: &[Recipe],
    destinations: &[Destination],
    registries: &Registries,
    cache: &ConfigCache,
    observed: &mut Observed,
) -> Result<(), Error> {
    let mut by_repository: BTreeMap<Repository, Vec<&Recipe>> = BTreeMap::new();
    for destination in destinations {
        for recipe in recipes {
            // The plan reports a name that is too long.
            let Ok(repository) = destination.repository(&recipe.image.name) else {
                continue;
            };
            by_repository.entry(repository).or_default().push(recipe);
        }
    }
    let found: Vec<_> = stream::iter(by_repository)
        .map(|(repository, recipes)| async move {
            let state = read_repository(&repository, &recipes, registries, cache).await?;
            Ok::<_, Error>((repository, state))
        })
        .buffer_unordered(CONCURRENT)
        .try_collect()
        .await?;
    observed.repositories.extend(found);
    Ok(())
}

async fn read_repository(
    repository: &Repository,
    recipes: &[&Recipe],
    registries: &Registries,
    cache: &ConfigCache,
) -> Result<ObservedRepository, Error> {
    let repo = registries.repo(repository);
    let reader = RepositoryReader { repo: &repo, cache };
    // The plan reports a version that does not make valid tags.
    let probes = recipes.iter().filter_map(|recipe| {
        let image = &recipe.image;
        tags::fan_out(&image.version, image.variant.as_ref(), &image.tags).ok()
    });
    let mut probes: BTreeSet<Tag> = probes
        .flat_map(|out| out.tags)
        .map(|planned| planned.tag)
        .collect();
    let mut tags = repo.complete_tags(&probes).await?;
    let mut digests = BTreeMap::new();
    let mut unread = BTreeSet::new();
    loop {
        let required: RequiredTags = recipes
            .iter()
            .map(|recipe| RequiredTags::of(recipe, &tags, &digests))
            .sum();
        let open: BTreeSet<Tag> = required
            .own
            .union(&required.holders)
            .filter(|tag| !digests.contains_key(*tag) && !unread.contains(*tag))
            .cloned()
            .collect();
        if open.is_empty() {
            let claimed = claimed_tags(&repo, &tags, &digests, cache).await?;
            let before = probes.len();
            probes.extend(claimed);
            if probes.len() == before {
                break;
            }
            tags = repo.complete_tags(&probes).await?;
            continue;
        }
        for (tag, digest) in reader.read_digests(open).await? {
            match digest {
                Some(digest) => drop(digests.insert(tag, digest)),
                // Publishing the version again repairs its tag. The digest of another version's tag
                // stays unknown.
                None if required.own.contains(&tag) => tags.retain(|listed| *listed != tag),
                None => drop(unread.insert(tag)),
            }
        }
    }
    let current = recipes.iter().flat_map(|recipe| {
        own_tags(recipe, &tags)
            .into_iter()
            .zip(std::iter::repeat(recipe))
    });
    let read: Vec<_> = stream::iter(current)
        .map(|(tag, recipe)| reader.read_version(tag, recipe, &digests))
        .buffer_unordered(CONCURRENT)
        .try_collect()
        .await?;
    let published = read.into_iter().flatten().collect();
    Ok(ObservedRepository {
        tags,
        digests,
        published,
    })
}

/// The tags with the content of an image's version: the tag of its newest revision, and the tag of
/// the newest revision that is not withdrawn.
fn own_tags(recipe: &Recipe, tags: &[Tag]) -> BTreeSet<Tag> {
    let image = &recipe.image;
    let all = TagList::new(tags, image.variant.as_ref(), &[]);
    let counted = TagList::new(tags, image.variant.as_ref(), &image.tags.withdrawn);
    let current = [
        plan::current(&image.version, &all),
        plan::current(&image.version, &counted),
    ];
    current
        .into_iter()
        .flatten()
        .map(|tagged| tagged.tag.clone())
        .collect()
}

/// The tags whose digests decide the plan of an image.
#[derive(Debug, Default)]
struct RequiredTags {
    /// The existing tags of the fan-out of the image.
    own: BTreeSet<Tag>,
    /// The tags of the versions that other moving tags of the fan-out belong to, and the tags that
    /// withdrawn versions leave.
    holders: BTreeSet<Tag>,
}

impl RequiredTags {
    fn of(recipe: &Recipe, tags: &[Tag], digests: &BTreeMap<Tag, Digest>) -> Self {
        let image = &recipe.image;
        let variant = image.variant.as_ref();
        let all = TagList::new(tags, variant, &[]);
        let counted = TagList::new(tags, variant, &image.tags.withdrawn);
        let current = [
            plan::current(&image.version, &all),
            plan::current(&image.version, &counted),
        ];
        let versions = current
            .into_iter()
            .flatten()
            .map(|tagged| &tagged.version)
            .chain([&image.version]);
        let mut required = Self::default();
        for version in versions {
            // The plan reports a version that does not make valid tags.
            let Ok(out) = tags::fan_out(version, variant, &image.tags) else {
                continue;
            };
            for planned in &out.tags {
                let holder = counted.highest(|other| planned.role.covers(version, other));
                required
                    .holders
                    .extend(holder.map(|tagged| tagged.tag.clone()));
            }
            for left in tags::vacated(&out, &all, &counted, &image.tags) {
                let [named, expected] = [&left.tag, &left.holder.tag].map(|tag| digests.get(tag));
                // The digests of the withdrawn versions tell only why a tag is wrong.
                if named.is_some() && expected.is_some() && named != expected {
                    let withdrawn = left.withdrawn.into_iter();
                    required.holders.extend(withdrawn.map(|held| held.tag));
                }
                required.holders.extend([left.tag, left.holder.tag]);
            }
            required.own.extend(
                out.tags
                    .into_iter()
                    .map(|planned| planned.tag)
                    .filter(|tag| all.has(tag)),
            );
        }
        required.own.extend(own_tags(recipe, tags));
        required
    }
}

impl std::iter::Sum for RequiredTags {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, required| {
            sum.own.extend(required.own);
            sum.holders.extend(required.holders);
            sum
        })
    }
}

struct RepositoryReader<'a> {
    repo: &'a Repo,
    cache: &'a ConfigCache,
}

impl RepositoryReader<'_> {
    /// Reads the digest of each tag by HEAD; `None` for a tag that is listed but has no manifest.
    async fn read_digests(&self, tags: BTreeSet<Tag>) -> Result<Vec<(Tag, Option<Digest>)>, Error> {
        let read = stream::iter(tags).map(async |tag| {
            let digest = self.read_digest(&tag).await?;
            Ok::<_, Error>((tag, digest))
        });
        read.buffer_unordered(CONCURRENT).try_collect().await
    }

    async fn read_digest(&self, tag: &Tag) -> Result<Option<Digest>, Error> {
        let mut found = self.repo.head(tag).await?;
        for pause in READ_PAUSES {
            if found.is_some() {
                break;
            }
            tokio::time::sleep(pause).await;
            found = self.repo.head(tag).await?;
        }
        Ok(found.map(|descriptor| descriptor.digest))
    }

    /// Reads the content of an image's version. Returns `None` if the registry lost a part of it.
    async fn read_version(
        &self,
        tag: Tag,
        recipe: &Recipe,
        digests: &BTreeMap<Tag, Digest>,
    ) -> Result<Option<(Tag, Published)>, Error> {
        let Some(digest) = digests.get(&tag) else {
            return Ok(None);
        };
        let mut found = match self.read_config(digest).await {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            Err(error) if error.is_damage() => {
                tracing::debug!(%error, %tag, "the published image cannot be read");
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if found.inputs.as_ref() == Some(&recipe.inputs) {
            // The config is needed only to explain a difference. Dropping it saves memory with many
            // images.
            found.runtime = ImageConfig::default();
        }
        Ok(Some((tag, found)))
    }

    /// Reads the config below a manifest. Returns `None` if the manifest was deleted after its tag
    /// was read.
    async fn read_config(&self, digest: &Digest) -> Result<Option<Published>, Error> {
        if let Some(config) = self.cache.get(digest) {
            return Ok(Some(published(digest.clone(), &config)));
        }
        let found = self.repo.manifest(digest).await?;
        let Some(raw) = found else { return Ok(None) };
        let config = self.cache.config(self.repo, &raw).await?;
        Ok(Some(published(raw.digest, &config)))
    }
}

fn published(digest: Digest, config: &ImageConfig) -> Published {
    let inputs = config.label(INPUTS).and_then(|text| text.parse().ok());
    Published {
        digest,
        inputs,
        lacking: BTreeSet::new(),
        labels: config.labels(),
        runtime: config.without_labels(),
        parts: None,
    }
}

/// The labels of an image, or of the first image of an index. Fails if the manifest or the config
/// is invalid or cannot be read.
pub async fn labels_of(repo: &Repo, raw: &RawManifest) -> Result<BTreeMap<String, String>, Error> {
    let config = first_config(repo, raw).await?;
    Ok(config.map(|config| config.labels()).unwrap_or_default())
}
