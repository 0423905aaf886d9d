//! Destination repositories: their tags, and what the tags that matter name.
//!
//! Requests are counted here: per repository one list of tags, one HEAD for each tag of the fan-outs, and the config of
//! each version once. The config is cached by the digest of its manifest.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{CONCURRENT, ConfigCache, Error};
use crate::oci::{ImageConfig, Manifest, RawManifest};
use crate::plan;
use crate::reference::{Digest, Repository, Tag, Target};
use crate::registry::{Registries, Registry};
use crate::render::{INPUTS, Recipe};
use crate::resolve::Destination;
use crate::snapshot::{Observed, ObservedRepository, Published};
use crate::tags::{self, TagList};

/// The pauses before a tag that is listed and cannot be read counts as a tag without a manifest: another publisher may be
/// writing it, because distribution lists a tag shortly before it can be read.
const BEING_WRITTEN: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];
/// The most that a config may weigh, in bytes.
const CONFIG_LIMIT: u64 = 4 << 20;

/// Reads every repository that `recipes` are published to into `observed`.
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
            // A name that is too long is told by the plan.
            let Ok(repository) = destination.repository(&recipe.image.name) else {
                continue;
            };
            by_repository.entry(repository).or_default().push(recipe);
        }
    }
    let found: Vec<_> = stream::iter(by_repository)
        .map(|(repository, recipes)| async move {
            let seen = read_repository(&repository, &recipes, registries, cache).await?;
            Ok::<_, Error>((repository, seen))
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
    let registry = registries.of(repository)?;
    let reader = RepositoryReader {
        registry: &registry,
        repository,
        cache,
    };
    // A version whose tags break the grammar is reported by the plan.
    let probes = recipes.iter().filter_map(|recipe| {
        let image = &recipe.image;
        tags::fan_out(&image.version, image.variant.as_ref(), &image.tags).ok()
    });
    let probes: Vec<Tag> = probes
        .flat_map(|out| out.tags)
        .map(|planned| planned.tag)
        .collect();
    let mut tags = registry.complete_tags(&repository.path, &probes).await?;
    let mut digests = BTreeMap::new();
    let mut unread = BTreeSet::new();
    loop {
        let wanted: RequiredTags = recipes
            .iter()
            .map(|recipe| RequiredTags::of(recipe, &tags))
            .sum();
        let open: BTreeSet<Tag> = wanted
            .own
            .union(&wanted.holders)
            .filter(|tag| !digests.contains_key(*tag) && !unread.contains(*tag))
            .cloned()
            .collect();
        if open.is_empty() {
            break;
        }
        for (tag, digest) in reader.read_digests(open).await? {
            match digest {
                Some(digest) => drop(digests.insert(tag, digest)),
                // Publishing the version again repairs its tag. What another version's tag names stays unknown.
                None if wanted.own.contains(&tag) => tags.retain(|listed| *listed != tag),
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

/// The tags that hold the content of an image's version: of its last revision, and of the last one that is not withdrawn.
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
        .map(|held| held.tag.clone())
        .collect()
}

/// The tags whose digests decide what happens to an image.
#[derive(Debug, Default)]
struct RequiredTags {
    /// The existing tags of the image's own fan-out.
    own: BTreeSet<Tag>,
    /// The tags of the versions that hold moving tags of the fan-out.
    holders: BTreeSet<Tag>,
}

impl RequiredTags {
    fn of(recipe: &Recipe, tags: &[Tag]) -> Self {
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
            .map(|held| &held.version)
            .chain([&image.version]);
        let mut wanted = Self::default();
        for version in versions {
            // The plan reports a version whose tags break the grammar.
            let Ok(out) = tags::fan_out(version, variant, &image.tags) else {
                continue;
            };
            for planned in &out.tags {
                let holder = counted.highest(|other| planned.role.covers(version, other));
                wanted.holders.extend(holder.map(|held| held.tag.clone()));
            }
            wanted.own.extend(
                out.tags
                    .into_iter()
                    .map(|planned| planned.tag)
                    .filter(|tag| all.has(tag)),
            );
        }
        wanted.own.extend(own_tags(recipe, tags));
        wanted
    }
}

impl std::iter::Sum for RequiredTags {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, wanted| {
            sum.own.extend(wanted.own);
            sum.holders.extend(wanted.holders);
            sum
        })
    }
}

struct RepositoryReader<'a> {
    registry: &'a Registry,
    repository: &'a Repository,
    cache: &'a ConfigCache,
}

impl RepositoryReader<'_> {
    /// The digest of each tag, by HEAD; none for a tag that is listed and names no manifest.
    async fn read_digests(&self, tags: BTreeSet<Tag>) -> Result<Vec<(Tag, Option<Digest>)>, Error> {
        let read = stream::iter(tags).map(async |tag| {
            let digest = self.read_digest(&tag).await?;
            Ok::<_, Error>((tag, digest))
        });
        read.buffer_unordered(CONCURRENT).try_collect().await
    }

    async fn read_digest(&self, tag: &Tag) -> Result<Option<Digest>, Error> {
        let target = Target::from(tag);
        let mut found = self
            .registry
            .head_manifest(&self.repository.path, &target)
            .await?;
        for pause in BEING_WRITTEN {
            if found.is_some() {
                break;
            }
            tokio::time::sleep(pause).await;
            found = self
                .registry
                .head_manifest(&self.repository.path, &target)
                .await?;
        }
        Ok(found.map(|descriptor| descriptor.digest))
    }

    /// The content of an image's version; none if the registry lost a part of it.
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
                tracing::debug!(%error, %tag, "what is published cannot be read");
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if found.inputs.as_ref() == Some(&recipe.inputs) {
            // Only a difference has to be explained, and a fleet must not be held in memory for nothing.
            found.runtime = ImageConfig::default();
        }
        Ok(Some((tag, found)))
    }

    /// The config below a manifest; none if the manifest was deleted since its tag was read.
    async fn read_config(&self, digest: &Digest) -> Result<Option<Published>, Error> {
        if let Some(config) = self.cache.get(digest) {
            return Ok(Some(published(digest.clone(), &config)));
        }
        let found = self
            .registry
            .get_manifest(&self.repository.path, &Target::from(digest))
            .await?;
        let Some(raw) = found else { return Ok(None) };
        let config = remember(self.registry, self.repository, &raw, self.cache).await?;
        Ok(Some(published(raw.digest, &config)))
    }
}

/// Reads the config below a manifest and adds it to the cache, unless the cache has it.
pub async fn remember(
    registry: &Registry,
    repository: &Repository,
    raw: &RawManifest,
    cache: &ConfigCache,
) -> Result<ImageConfig, Error> {
    if let Some(config) = cache.get(&raw.digest) {
        return Ok(config);
    }
    let config = config_of(registry, repository, raw)
        .await?
        .unwrap_or_default();
    cache.put(&raw.digest, &config);
    Ok(config)
}

fn published(digest: Digest, config: &ImageConfig) -> Published {
    let inputs = config.label(INPUTS).and_then(|text| text.parse().ok());
    Published {
        digest,
        inputs,
        labels: config.labels(),
        runtime: config.without_labels(),
    }
}

/// The labels of a manifest's config; of an index, those of its first image.
pub async fn labels_of(
    registry: &Registry,
    repository: &Repository,
    raw: &RawManifest,
) -> Result<BTreeMap<String, String>, Error> {
    let config = config_of(registry, repository, raw).await?;
    Ok(config.map(|config| config.labels()).unwrap_or_default())
}

/// The config of a manifest; of an index, that of its first image. None when there is no image below it.
async fn config_of(
    registry: &Registry,
    repository: &Repository,
    raw: &RawManifest,
) -> Result<Option<ImageConfig>, Error> {
    let parsed = |raw: &RawManifest| {
        raw.parse().map_err(|source| Error::Manifest {
            repository: repository.clone(),
            source,
        })
    };
    let config = match parsed(raw)? {
        Manifest::Image(image) => image.config,
        Manifest::Index(index) => {
            let Some(first) = index.manifests.first() else {
                return Ok(None);
            };
            let target = Target::from(&first.digest);
            let Some(child) = registry.get_manifest(&repository.path, &target).await? else {
                return Ok(None);
            };
            match parsed(&child)? {
                Manifest::Image(image) => image.config,
                Manifest::Index(_) => return Ok(None),
            }
        }
    };
    let bytes = registry
        .get_blob(&repository.path, &config, CONFIG_LIMIT)
        .await?;
    let config = ImageConfig::parse(&bytes).map_err(|source| Error::Config {
        repository: repository.clone(),
        source,
    })?;
    Ok(Some(config))
}
