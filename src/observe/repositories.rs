//! Destination repositories: their tags, and what the tags that matter carry.
//!
//! Requests are counted here (7-rules 2): the list of tags, one manifest, one config; the config is remembered. The
//! one manifest is that of the *least specific* tag that this version should hold. Tags are moved from the most
//! specific to the least, so when that one carries the image's inputs, all the others do. Only when it does not,
//! the version's own tag and all the rest are read.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{CONCURRENT, ConfigCache, Error};
use crate::oci::{ImageConfig, Manifest, RawManifest};
use crate::plan;
use crate::reference::{Digest, Repository, Tag, Target};
use crate::registry::{Registries, Registry};
use crate::render::Recipe;
use crate::resolve::Destination;
use crate::snapshot::{Observed, ObservedRepository, Published};
use crate::tags::{self, Existing, Held, Move, Standing};

/// How long the writing of a tag takes at the most.
const BEING_WRITTEN: std::time::Duration = std::time::Duration::from_millis(100);
const INPUTS: &str = "dev.golden.inputs";
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
            let Ok(repository) = destination.repository(&recipe.image.name) else { continue };
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
    let reader = Reader { registry: &registry, repository, cache };
    let tags = registry.tags(&repository.path).await?;
    let published: Vec<_> = stream::iter(recipes)
        .map(|recipe| reader.read_image(recipe, &tags))
        .buffer_unordered(CONCURRENT)
        .try_collect()
        .await?;
    Ok(ObservedRepository { tags, published: published.into_iter().flatten().collect() })
}

struct Reader<'a> {
    registry: &'a Registry,
    repository: &'a Repository,
    cache: &'a ConfigCache,
}

impl Reader<'_> {
    async fn read_image(&self, recipe: &Recipe, tags: &[Tag]) -> Result<BTreeMap<Tag, Published>, Error> {
        let image = &recipe.image;
        let existing = Existing::new(tags, image.variant.as_ref(), &[]);
        let counted = Existing::new(tags, image.variant.as_ref(), &image.tags.withdrawn);
        let Some(last) = plan::current(&image.version, &existing) else { return Ok(BTreeMap::new()) };
        let mut read = self.read_version(recipe, last, &existing, &counted).await?;
        let is_ours = read.get(&last.tag).is_some_and(|found| found.inputs.as_ref() == Some(&recipe.inputs));
        // Behind a withdrawn revision stands the one that counts.
        if let Some(counts) = plan::current(&image.version, &counted)
            && counts != last
            && !is_ours
        {
            read.extend(self.read_version(recipe, counts, &existing, &counted).await?);
        }
        Ok(read)
    }

    async fn read_version(
        &self,
        recipe: &Recipe,
        current: &Held,
        existing: &Existing,
        counted: &Existing,
    ) -> Result<BTreeMap<Tag, Published>, Error> {
        let mut read = BTreeMap::new();
        let image = &recipe.image;
        // A version whose tags break the grammar is told by the plan.
        let Ok(out) = tags::fan_out(&current.version, image.variant.as_ref(), &image.tags) else {
            return Ok(read);
        };
        let moves = tags::decide(&out, counted, &image.tags, Standing::Same);
        let held: BTreeSet<&Tag> =
            moves.iter().filter(|m| m.is_push() && existing.has(&m.tag)).map(|m| &m.tag).collect();
        let last =
            moves.iter().rev().map(|m: &Move| &m.tag).find(|tag| held.contains(tag)).unwrap_or(&current.tag);
        let is_ours = |found: &Published| found.inputs.as_ref() == Some(&recipe.inputs);
        if let Some(mut found) = self.read_tag(last).await? {
            let done = is_ours(&found);
            if done {
                // Only what differs has to be explained; a fleet need not be held in memory for nothing.
                found.runtime = ImageConfig::default();
            }
            read.insert(last.clone(), found.clone());
            if done {
                read.insert(current.tag.clone(), found);
                return Ok(read);
            }
        }
        if *last != current.tag
            && let Some(found) = self.read_tag(&current.tag).await?
        {
            let behind = is_ours(&found);
            read.insert(current.tag.clone(), found);
            if behind {
                read.extend(
                    self.read_digests(held.into_iter().filter(|tag| *tag != last && **tag != current.tag))
                        .await?,
                );
            }
        }
        Ok(read)
    }

    /// The manifest that a tag names, with its labels; none when the tag has gone meanwhile.
    async fn read_tag(&self, tag: &Tag) -> Result<Option<Published>, Error> {
        let (path, target) = (&self.repository.path, Target::from(tag));
        let mut found = self.registry.get_manifest(path, &target).await?;
        if found.is_none() {
            // distribution lists a tag a moment before it can be read: another publisher is writing it.
            tokio::time::sleep(BEING_WRITTEN).await;
            found = self.registry.get_manifest(path, &target).await?;
        }
        let Some(raw) = found else { return Ok(None) };
        if let Some(config) = self.cache.get(&raw.digest) {
            return Ok(Some(published(raw.digest, &config)));
        }
        let config = config_of(self.registry, self.repository, &raw).await?.unwrap_or_default();
        self.cache.put(&raw.digest, &config);
        Ok(Some(published(raw.digest, &config)))
    }

    async fn read_digests(&self, tags: impl Iterator<Item = &Tag>) -> Result<Vec<(Tag, Published)>, Error> {
        let digest = |tag: Tag| async move {
            let found = self.registry.head_manifest(&self.repository.path, &Target::from(&tag)).await?;
            Ok::<_, Error>(
                found.map(|descriptor| (tag, published(descriptor.digest, &ImageConfig::default()))),
            )
        };
        let tags: Vec<Tag> = tags.cloned().collect();
        let found: Vec<_> = stream::iter(tags).map(digest).buffered(CONCURRENT).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }
}

fn published(digest: Digest, config: &ImageConfig) -> Published {
    let inputs = config.label(INPUTS).and_then(|text| text.parse().ok());
    Published { digest, inputs, labels: config.labels(), runtime: config.without_labels() }
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
        raw.parse().map_err(|source| Error::Manifest { repository: repository.clone(), source })
    };
    let config = match parsed(raw)? {
        Manifest::Image(image) => image.config,
        Manifest::Index(index) => {
            let Some(first) = index.manifests.first() else { return Ok(None) };
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
    let bytes = registry.get_blob(&repository.path, &config, CONFIG_LIMIT).await?;
    let config = ImageConfig::parse(&bytes)
        .map_err(|source| Error::Config { repository: repository.clone(), source })?;
    Ok(Some(config))
}
