//! Computes the entries that golden.lock would have for the bases today.

use super::bases::highest_tag;
use super::{Absent, CONCURRENT, EngineSearch, Error, NoBase};
use crate::engine::Embedded;
use crate::image::first_config;
use crate::reference::Reference;
use crate::resolve::image::Base;
use crate::workspace::lock::{LockedBase, key};

use futures_util::{StreamExt as _, stream};

/// Reads the current state of each external base: the tag that its requirement selects, its digest,
/// the digests of its platforms, and its creation time. Bases that are not external are omitted;
/// the others are returned in order, each with its key and its own error.
pub async fn upstream(
    bases: &[Base],
    embedded: &Embedded,
) -> Vec<(String, Result<LockedBase, Error>)> {
    let external = bases.iter().filter_map(|base| Some((key(base)?, base)));
    stream::iter(external)
        .map(async |(key, base)| {
            let found = current(key.clone(), base, embedded).await;
            (key, found)
        })
        .buffered(CONCURRENT)
        .collect()
        .await
}

/// The current lock entry of an external base.
async fn current(key: String, base: &Base, embedded: &Embedded) -> Result<LockedBase, Error> {
    let reference = match base {
        Base::Requirement {
            repository,
            requirement,
        } => highest_tag(repository, requirement, embedded.registries()).await?,
        Base::Reference(reference) => reference.clone(),
        Base::Scratch | Base::Layout(_) | Base::Workspace { .. } => {
            unreachable!("only external bases have a key")
        }
    };
    read_base(key, reference, embedded).await
}

async fn read_base(
    base: String,
    reference: Reference,
    embedded: &Embedded,
) -> Result<LockedBase, Error> {
    let repo = embedded.registries().repo(&reference.repository);
    let Some(raw) = repo.manifest(reference.target()).await? else {
        let absent = Absent::find(&repo, &reference).await;
        return Err(Error::NoBase {
            reference,
            because: NoBase::Absent(Box::new(absent)),
            engine: EngineSearch::NotAsked,
        });
    };
    let unusable = |error| Error::Unusable(Box::new(error));
    let mut platforms = embedded
        .platforms(&reference, &raw.digest)
        .await
        .map_err(unusable)?;
    let image = match platforms.values().next() {
        None => Some(raw.clone()),
        Some(digest) => repo.manifest(digest).await?,
    };
    let config = match image {
        // Errors are ignored: the config only adds details to the lock entry.
        Some(image) => first_config(&repo, &image).await.ok().flatten(),
        None => None,
    };
    if let (true, Some(config)) = (platforms.is_empty(), &config) {
        platforms.insert(config.platform(), raw.digest.clone());
    }
    let created = config
        .as_ref()
        .and_then(|config| config.as_object().get("created"));
    let created = created
        .and_then(|created| created.as_str())
        .map(str::to_owned);
    Ok(LockedBase {
        base,
        reference,
        digest: raw.digest,
        created,
        signed_by: None,
        platforms,
    })
}
