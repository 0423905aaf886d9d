//! External bases: their digests, and the tags that requirements mean.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use semver::VersionReq;

use super::{CONCURRENT, Error};
use crate::engine::Docker;
use crate::reference::{Reference, Repository};
use crate::registry::Registries;
use crate::resolve::image::Base;
use crate::resolve::{ResolvedImage, pin};
use crate::snapshot::{Observed, ObservedBase};
use crate::workspace::lock::{Lock, key};

/// What golden.lock tells about the bases of `images`: nobody has to be asked about these.
pub fn from_lock(images: &[ResolvedImage], lock: &Lock, observed: &mut Observed) {
    for image in images {
        let Some(locked) = key(&image.base).and_then(|key| lock.bases.get(&key)) else { continue };
        if let Base::Requirement { repository, requirement } = &image.base {
            let of = observed.requirements.entry(repository.clone()).or_default();
            of.insert(requirement.to_string(), locked.reference.clone());
        }
        let platforms = locked.platforms.keys().cloned().collect();
        let base = ObservedBase::Registry { digest: locked.digest.clone(), platforms };
        observed.bases.insert(locked.reference.clone(), base);
    }
}

/// Asks for every external base of `images` that `observed` does not tell yet. One request a base; a requirement
/// costs the list of tags too. What no registry tells, `engine` is asked for (7-rules 13).
pub async fn bases(
    images: &[ResolvedImage],
    registries: &Registries,
    engine: Option<&Docker>,
    observed: &mut Observed,
) -> Result<(), Error> {
    let asked = requirements(images, observed);
    let found: Vec<_> = stream::iter(asked)
        .map(|((repository, text), requirement)| async move {
            let reference = choose_tag(&repository, &requirement, registries).await?;
            Ok::<_, Error>((repository, text, reference))
        })
        .buffered(CONCURRENT)
        .try_collect()
        .await?;
    for (repository, text, reference) in found {
        observed.requirements.entry(repository).or_default().insert(text, reference);
    }
    let found: Vec<_> = stream::iter(references(images, observed))
        .map(|reference| async move {
            let base = ask(&reference, registries, engine).await?;
            Ok::<_, Error>((reference, base))
        })
        .buffered(CONCURRENT)
        .try_collect()
        .await?;
    observed.bases.extend(found);
    Ok(())
}

fn requirements(images: &[ResolvedImage], observed: &Observed) -> BTreeMap<(Repository, String), VersionReq> {
    let mut asked = BTreeMap::new();
    for image in images {
        let Base::Requirement { repository, requirement } = &image.base else { continue };
        let text = requirement.to_string();
        if observed.requirements.get(repository).is_none_or(|of| !of.contains_key(&text)) {
            asked.insert((repository.clone(), text), requirement.clone());
        }
    }
    asked
}

/// The references to ask for: what is written with a digest says all by itself.
fn references(images: &[ResolvedImage], observed: &Observed) -> BTreeSet<Reference> {
    let meant = |image: &ResolvedImage| match &image.base {
        Base::Reference(reference) => Some(reference.clone()),
        Base::Requirement { repository, requirement } => {
            observed.requirements.get(repository)?.get(&requirement.to_string()).cloned()
        }
        Base::Scratch | Base::Layout(_) | Base::Workspace { .. } => None,
    };
    let unknown =
        |reference: &Reference| reference.digest.is_none() && !observed.bases.contains_key(reference);
    images.iter().filter_map(meant).filter(unknown).collect()
}

pub(super) async fn choose_tag(
    repository: &Repository,
    requirement: &VersionReq,
    registries: &Registries,
) -> Result<Reference, Error> {
    let tags = registries.of(repository)?.tags(&repository.path).await?;
    let tag = pin::highest_admitted(&tags, requirement).cloned();
    let none = || Error::NoTag { repository: repository.clone(), requirement: requirement.to_string() };
    Ok(Reference { repository: repository.clone(), tag: Some(tag.ok_or_else(none)?), digest: None })
}

async fn ask(
    reference: &Reference,
    registries: &Registries,
    engine: Option<&Docker>,
) -> Result<ObservedBase, Error> {
    let because = match from_registry(reference, registries).await {
        Ok(Some(base)) => return Ok(base),
        Ok(None) => "the registry has no such image".to_owned(),
        Err(error) => error.to_string(),
    };
    if let Some(engine) = engine
        && let Ok(Some(local)) = engine.image(reference).await
    {
        return Ok(ObservedBase::Local { id: local.id, because });
    }
    Err(Error::NoBase { reference: reference.clone(), because })
}

async fn from_registry(
    reference: &Reference,
    registries: &Registries,
) -> Result<Option<ObservedBase>, crate::registry::Error> {
    let registry = registries.of(&reference.repository)?;
    let found = registry.head_manifest(&reference.repository.path, &reference.target()).await?;
    Ok(found.map(|descriptor| ObservedBase::Registry { digest: descriptor.digest, platforms: Vec::new() }))
}
