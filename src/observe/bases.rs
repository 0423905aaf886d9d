//! External bases: resolves version requirements to tags, and tags to digests.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{Absent, CONCURRENT, EngineSearch, Error, NoBase};
use crate::engine::Docker;
use crate::engine::embedded::{self, Embedded};
use crate::reference::{Reference, Repository, Tag};
use crate::registry::Registries;
use crate::resolve::image::Base;
use crate::resolve::{ResolvedImage, pin};
use crate::snapshot::{Observed, ObservedBase};
use crate::tags::Requirement;
use crate::workspace::lock::{Lock, key};

/// Adds the bases of `images` that golden.lock lists to `observed`, so that no registry request is
/// needed for them.
pub fn from_lock(images: &[ResolvedImage], lock: &Lock, observed: &mut Observed) {
    for image in images {
        let Some(locked) = key(&image.base).and_then(|key| lock.bases.get(&key)) else {
            continue;
        };
        if let Base::Requirement {
            repository,
            requirement,
        } = &image.base
        {
            let by_requirement = observed.requirements.entry(repository.clone()).or_default();
            by_requirement.insert(requirement.to_string(), locked.reference.clone());
        }
        let base = ObservedBase::Registry {
            digest: locked.digest.clone(),
            platforms: locked.platforms.clone(),
        };
        observed.bases.insert(locked.reference.clone(), base);
    }
}

/// Adds every external base of `images` that `observed` lacks. A tag costs one HEAD request; a
/// requirement also costs the list of tags, and a digest that is not cached costs the manifests of
/// its platforms. If no registry has the base, `engine` is asked. Fails if a base cannot be found
/// or used.
pub async fn bases(
    images: &[ResolvedImage],
    embedded: &Embedded,
    engine: Option<&Docker>,
    observed: &mut Observed,
) -> Result<(), Error> {
    let registries = embedded.registries();
    let missing = requirements(images, observed);
    let found: Vec<_> = stream::iter(missing)
        .map(|((repository, text), requirement)| async move {
            let reference = highest_tag(&repository, &requirement, registries).await?;
            Ok::<_, Error>((repository, text, reference))
        })
        .buffered(CONCURRENT)
        .try_collect()
        .await?;
    for (repository, text, reference) in found {
        observed
            .requirements
            .entry(repository)
            .or_default()
            .insert(text, reference);
    }
    let found: Vec<_> = stream::iter(references(images, observed))
        .map(|(reference, requested)| async move {
            let base = read_base(&requested, embedded, engine).await?;
            Ok::<_, Error>((reference, base))
        })
        .buffered(CONCURRENT)
        .try_collect()
        .await?;
    observed.bases.extend(found);
    for image in images {
        if let Base::Layout(layout) = &image.base
            && !observed.layouts.contains_key(&layout.digest)
        {
            let platforms = embedded::layout_platforms(layout).await;
            let platforms = platforms.map_err(|error| Error::Unusable(Box::new(error)))?;
            observed.layouts.insert(layout.digest.clone(), platforms);
        }
    }
    Ok(())
}

fn requirements(
    images: &[ResolvedImage],
    observed: &Observed,
) -> BTreeMap<(Repository, String), Requirement> {
    let mut missing = BTreeMap::new();
    for image in images {
        let Base::Requirement {
            repository,
            requirement,
        } = &image.base
        else {
            continue;
        };
        let text = requirement.to_string();
        if observed
            .requirements
            .get(repository)
            .is_none_or(|known| !known.contains_key(&text))
        {
            missing.insert((repository.clone(), text), requirement.clone());
        }
    }
    missing
}

/// The references that `observed` lacks, each with the reference to request. For a locked index
/// without platforms in golden.lock, that is its digest.
fn references(images: &[ResolvedImage], observed: &Observed) -> BTreeMap<Reference, Reference> {
    let mut requested = BTreeMap::new();
    for image in images {
        let reference = match &image.base {
            Base::Reference(reference) => Some(reference),
            Base::Requirement {
                repository,
                requirement,
            } => observed
                .requirements
                .get(repository)
                .and_then(|known| known.get(&requirement.to_string())),
            Base::Scratch | Base::Layout(_) | Base::Workspace { .. } => None,
        };
        let Some(reference) = reference else { continue };
        match observed.bases.get(reference) {
            None => requested.insert(reference.clone(), reference.clone()),
            Some(ObservedBase::Registry { digest, platforms }) if platforms.is_empty() => {
                requested.insert(reference.clone(), reference.at(digest.clone()))
            }
            Some(_) => None,
        };
    }
    requested
}

pub(super) async fn highest_tag(
    repository: &Repository,
    requirement: &Requirement,
    registries: &Registries,
) -> Result<Reference, Error> {
    // The tag `latest` detects a truncated list, because letters are sorted last.
    let probe: Option<Tag> = "latest".parse().ok();
    let tags = registries.repo(repository).complete_tags(&probe).await?;
    let tag = pin::highest_admitted(&tags, requirement);
    let no_tag = || Error::NoTag {
        repository: repository.clone(),
        requirement: requirement.to_string(),
    };
    Ok(repository.tag(tag.ok_or_else(no_tag)?))
}

async fn read_base(
    reference: &Reference,
    embedded: &Embedded,
    engine: Option<&Docker>,
) -> Result<ObservedBase, Error> {
    let because = match from_registry(reference, embedded).await {
        Ok(Some(base)) => return Ok(base),
        Ok(None) | Err(embedded::Error::BaseMissing { .. }) => {
            let repo = embedded.registries().repo(&reference.repository);
            NoBase::Absent(Box::new(Absent::find(&repo, reference).await))
        }
        Err(embedded::Error::Registry(error)) => NoBase::Unread(Box::new(error)),
        Err(error) => return Err(Error::Unusable(Box::new(error))),
    };
    let engine = match engine {
        None => EngineSearch::NotAsked,
        Some(engine) => match engine.image(reference).await {
            Ok(Some(local)) => {
                let because = match because {
                    NoBase::Absent(absent) => absent.reason(),
                    NoBase::Unread(error) => error.to_string(),
                };
                return Ok(ObservedBase::Local {
                    id: local.id,
                    because,
                });
            }
            Ok(None) => EngineSearch::Lacks,
            Err(error) => EngineSearch::Unanswered(error.to_string()),
        },
    };
    Err(Error::NoBase {
        reference: reference.clone(),
        because,
        engine,
    })
}

async fn from_registry(
    reference: &Reference,
    embedded: &Embedded,
) -> Result<Option<ObservedBase>, embedded::Error> {
    let digest = if let Some(digest) = &reference.digest {
        digest.clone()
    } else {
        let repo = embedded.registries().repo(&reference.repository);
        let found = repo.head(reference.target()).await?;
        let Some(descriptor) = found else {
            return Ok(None);
        };
        descriptor.digest
    };
    let platforms = embedded.platforms(reference, &digest).await?;
    Ok(Some(ObservedBase::Registry { digest, platforms }))
}
