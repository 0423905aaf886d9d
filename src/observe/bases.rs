//! External bases: their digests, and the tags that requirements mean.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{CONCURRENT, Error, NoBase};
use crate::engine::Docker;
use crate::engine::embedded::{self, Embedded};
use crate::reference::{Reference, Repository, Tag};
use crate::registry::Registries;
use crate::resolve::image::Base;
use crate::resolve::{ResolvedImage, pin};
use crate::snapshot::{Observed, ObservedBase};
use crate::tags::Requirement;
use crate::workspace::lock::{Lock, key};

/// What golden.lock tells about the bases of `images`: nobody has to be asked about these.
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
            let of = observed.requirements.entry(repository.clone()).or_default();
            of.insert(requirement.to_string(), locked.reference.clone());
        }
        let base = ObservedBase::Registry {
            digest: locked.digest.clone(),
            platforms: locked.platforms.clone(),
        };
        observed.bases.insert(locked.reference.clone(), base);
    }
}

/// Asks for every external base of `images` that `observed` does not tell yet. A tag costs one HEAD, a requirement the
/// list of tags too, and a digest that is not in the cache the manifests of its platforms. If no registry has the base,
/// `engine` is asked.
pub async fn bases(
    images: &[ResolvedImage],
    embedded: &Embedded,
    engine: Option<&Docker>,
    observed: &mut Observed,
) -> Result<(), Error> {
    let registries = embedded.registries();
    let asked = requirements(images, observed);
    let found: Vec<_> = stream::iter(asked)
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
        .map(|(reference, asked)| async move {
            let base = ask(&asked, embedded, engine).await?;
            Ok::<_, Error>((reference, base))
        })
        .buffered(CONCURRENT)
        .try_collect()
        .await?;
    observed.bases.extend(found);
    Ok(())
}

fn requirements(
    images: &[ResolvedImage],
    observed: &Observed,
) -> BTreeMap<(Repository, String), Requirement> {
    let mut asked = BTreeMap::new();
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
            .is_none_or(|of| !of.contains_key(&text))
        {
            asked.insert((repository.clone(), text), requirement.clone());
        }
    }
    asked
}

/// The references to ask for, and what to ask: of a locked index whose platforms golden.lock does not list, the digest.
fn references(images: &[ResolvedImage], observed: &Observed) -> BTreeMap<Reference, Reference> {
    let mut asked = BTreeMap::new();
    for image in images {
        let reference = match &image.base {
            Base::Reference(reference) => Some(reference),
            Base::Requirement {
                repository,
                requirement,
            } => observed
                .requirements
                .get(repository)
                .and_then(|of| of.get(&requirement.to_string())),
            Base::Scratch | Base::Layout(_) | Base::Workspace { .. } => None,
        };
        let Some(reference) = reference else { continue };
        match observed.bases.get(reference) {
            None => asked.insert(reference.clone(), reference.clone()),
            Some(ObservedBase::Registry { digest, platforms }) if platforms.is_empty() => {
                asked.insert(reference.clone(), reference.at(digest.clone()))
            }
            Some(_) => None,
        };
    }
    asked
}

pub(super) async fn highest_tag(
    repository: &Repository,
    requirement: &Requirement,
    registries: &Registries,
) -> Result<Reference, Error> {
    // A list that ends early rarely has this tag: letters come last.
    let probe: Option<Tag> = "latest".parse().ok();
    let tags = registries
        .of(repository)?
        .complete_tags(&repository.path, &probe)
        .await?;
    let tag = pin::highest_admitted(&tags, requirement).cloned();
    let none = || Error::NoTag {
        repository: repository.clone(),
        requirement: requirement.to_string(),
    };
    Ok(Reference {
        repository: repository.clone(),
        tag: Some(tag.ok_or_else(none)?),
        digest: None,
    })
}

async fn ask(
    reference: &Reference,
    embedded: &Embedded,
    engine: Option<&Docker>,
) -> Result<ObservedBase, Error> {
    let because = match from_registry(reference, embedded).await {
        Ok(Some(base)) => return Ok(base),
        Ok(None) | Err(embedded::Error::BaseMissing { .. }) => NoBase::Absent,
        Err(embedded::Error::Registry(error)) => NoBase::Unread(Box::new(error)),
        Err(error) => return Err(Error::Unusable(Box::new(error))),
    };
    if let Some(engine) = engine
        && let Ok(Some(local)) = engine.image(reference).await
    {
        let because = match because {
            NoBase::Absent => "the registry has no such image".to_owned(),
            NoBase::Unread(error) => error.to_string(),
        };
        return Ok(ObservedBase::Local {
            id: local.id,
            because,
        });
    }
    Err(Error::NoBase {
        reference: reference.clone(),
        because,
    })
}

async fn from_registry(
    reference: &Reference,
    embedded: &Embedded,
) -> Result<Option<ObservedBase>, embedded::Error> {
    let digest = if let Some(digest) = &reference.digest {
        digest.clone()
    } else {
        let registry = embedded.registries().of(&reference.repository)?;
        let found = registry
            .head_manifest(&reference.repository.path, &reference.target())
            .await?;
        let Some(descriptor) = found else {
            return Ok(None);
        };
        descriptor.digest
    };
    let platforms = embedded.platforms(reference, &digest).await?;
    Ok(Some(ObservedBase::Registry { digest, platforms }))
}
