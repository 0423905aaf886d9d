//! The release: moving tags, from the most specific to the least, verified, and written down.

use std::collections::BTreeMap;
use std::time::Instant;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::decide::{PublishTarget, has_inputs};
use super::receipt::{BaseReceipt, Receipt, TagReceipt};
use super::settle::{Correction, Settled, settle};
use super::upload::Uploaded;
use super::{Error, PublishJob};
use crate::engine::{Artifact, EngineKind};
use crate::observe;
use crate::oci::{ImageConfig, Manifest, RawManifest};
use crate::reference::{Digest, Tag, Target};
use crate::tags::{Action, Move};

/// How many tags are read at once.
const CONCURRENT: usize = 8;

/// Moves the tags in every registry and verifies them; the receipts are written and returned.
pub async fn release(uploaded: Uploaded<'_>) -> Result<Vec<Receipt>, Error> {
    let Uploaded {
        job,
        places,
        milliseconds,
    } = uploaded;
    let mut receipts = Vec::with_capacity(places.len());
    for (place, raw) in places {
        match raw.filter(|_| !job.is_withdrawn()) {
            Some(raw) => receipts.push(release_one(&job, place, &raw, milliseconds).await?),
            None => correct(&job, &place).await?,
        }
    }
    Ok(receipts)
}

pub(super) fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

async fn release_one(
    job: &PublishJob<'_>,
    place: PublishTarget<'_>,
    raw: &RawManifest,
    pushing: u64,
) -> Result<Receipt, Error> {
    let start = Instant::now();
    let path = &place.planned.repository.path;
    let moves = &place.moves;
    let previous = named(&place).await?;
    let full = place.out.full();
    let behind = |decided: &&Move| {
        decided.is_push() && decided.tag != *full && previous.get(&decided.tag) != Some(&raw.digest)
    };
    let wanted: Vec<Tag> = moves
        .iter()
        .filter(behind)
        .map(|decided| decided.tag.clone())
        .collect();
    if !wanted.is_empty() {
        let names: Vec<&str> = wanted.iter().map(Tag::as_str).collect();
        job.events.step(
            job.image(),
            format!("tag {}: {}", place.planned.repository, names.join(", ")),
        );
        place.registry.put_tags(path, &wanted, raw).await?;
    }
    let moving = milliseconds(start);
    let start = Instant::now();
    // The version's own tag was put with the content.
    let put: Vec<Tag> = wanted.into_iter().chain([full.clone()]).collect();
    let (raw, settled) = settle_on(job, &place, raw, &previous, &put).await?;
    report(job, &settled);
    remember(job, &place, &raw).await;
    let mut durations = job.durations.clone();
    durations.extend([
        ("push".to_owned(), pushing),
        ("tags".to_owned(), moving),
        ("verify".to_owned(), milliseconds(start)),
    ]);
    let original = place.original.as_ref().map(|(tag, original)| TagReceipt {
        tag: tag.clone(),
        action: "create".to_owned(),
        previous: None,
        digest: Some(original.digest.clone()),
    });
    let moved = moves
        .iter()
        .map(|decided| tag_receipt(decided, &previous, &raw, &settled));
    let receipt = receipt(
        job,
        &place,
        &raw,
        original.into_iter().chain(moved).collect(),
        durations,
    );
    receipt.write(
        job.state,
        &place.planned.registry,
        &job.recipe.image.name,
        full,
    )?;
    Ok(receipt)
}

/// Settles the tags on `raw`, or on what another publisher made from the same inputs at the same time: both succeed.
async fn settle_on(
    job: &PublishJob<'_>,
    place: &PublishTarget<'_>,
    raw: &RawManifest,
    previous: &BTreeMap<Tag, Digest>,
    put: &[Tag],
) -> Result<(RawManifest, Vec<Settled>), Error> {
    let (repository, rules) = (&place.planned.repository, &job.recipe.image.tags);
    let settled = settle(
        &place.registry,
        repository,
        &place.out,
        rules,
        Some(raw),
        previous,
        put,
    )
    .await;
    let error = match settled {
        Ok(settled) => return Ok((raw.clone(), settled)),
        Err(error) => error,
    };
    let Error::Overtaken { found, .. } = &error else {
        return Err(error);
    };
    let theirs = place
        .registry
        .get_manifest(&repository.path, &Target::from(found))
        .await?;
    match theirs {
        Some(theirs) if has_inputs(job, repository, &place.registry, &theirs).await? => {
            let settled = settle(
                &place.registry,
                repository,
                &place.out,
                rules,
                Some(&theirs),
                previous,
                &[],
            )
            .await?;
            Ok((theirs, settled))
        }
        _ => Err(error),
    }
}

/// Puts the moving tags of a withdrawn version where they belong.
async fn correct(job: &PublishJob<'_>, place: &PublishTarget<'_>) -> Result<(), Error> {
    let (repository, rules) = (&place.planned.repository, &job.recipe.image.tags);
    let nothing = BTreeMap::new();
    report(
        job,
        &settle(
            &place.registry,
            repository,
            &place.out,
            rules,
            None,
            &nothing,
            &[],
        )
        .await?,
    );
    Ok(())
}

/// Reports the tags that were put on another version than the one that is published.
fn report(job: &PublishJob<'_>, settled: &[Settled]) {
    for Settled {
        tag,
        digest,
        corrected,
    } in settled
    {
        let why = match corrected {
            None => continue,
            Some(Correction::Overtaken) if job.is_withdrawn() => "this version is withdrawn",
            Some(Correction::Overtaken) => "a higher version was published concurrently",
            Some(Correction::Stray) => "it pointed to an image that may not hold it",
        };
        job.events.note(
            Some(job.image()),
            format!("moved {tag} to {}: {why}", digest.short()),
        );
    }
}

/// Adds the config of what was published to the cache, so that the next plan does not read it. A plan can do without.
async fn remember(job: &PublishJob<'_>, place: &PublishTarget<'_>, raw: &RawManifest) {
    let own = match job.built.map(|built| &built.artifact) {
        Some(Artifact::Assembled(assembled)) => assembled.config_of(raw),
        _ => None,
    };
    if let Some(Ok(config)) = own.map(ImageConfig::parse) {
        job.cache.put(&raw.digest, &config);
        return;
    }
    if let Err(error) =
        observe::remember(&place.registry, &place.planned.repository, raw, job.cache).await
    {
        tracing::debug!(%error, "the config is not cached");
    }
}

/// What the tags that exist named before they are moved.
async fn named(place: &PublishTarget<'_>) -> Result<BTreeMap<Tag, Digest>, Error> {
    let (path, full) = (&place.planned.repository.path, place.out.full());
    let ask = |tag: Tag| async move {
        let found = place
            .registry
            .head_manifest(path, &Target::from(&tag))
            .await?;
        Ok::<_, Error>(found.map(|descriptor| (tag, descriptor.digest)))
    };
    let tags = place.moves.iter().map(|decided| &decided.tag);
    let there: Vec<Tag> = tags
        .filter(|tag| *tag != full && place.existing.has(tag))
        .cloned()
        .collect();
    let found: Vec<_> = stream::iter(there)
        .map(ask)
        .buffered(CONCURRENT)
        .try_collect()
        .await?;
    Ok(found
        .into_iter()
        .flatten()
        .chain(place.was.clone().map(|was| (full.clone(), was)))
        .collect())
}

fn tag_receipt(
    decided: &Move,
    previous: &BTreeMap<Tag, Digest>,
    raw: &RawManifest,
    settled: &[Settled],
) -> TagReceipt {
    let tag = decided.tag.clone();
    let was = previous.get(&tag).cloned();
    let now = settled.iter().find(|settled| settled.tag == tag);
    let (action, digest) = match (&decided.action, now) {
        (_, Some(now)) if now.corrected == Some(Correction::Stray) => {
            ("move", Some(now.digest.clone()))
        }
        (_, Some(now)) if now.corrected.is_some() => ("keep", Some(now.digest.clone())),
        (Action::Keep { .. } | Action::Refuse, _) => ("keep", was.clone()),
        _ if was.as_ref() == Some(&raw.digest) => ("same", was.clone()),
        _ if was.is_some() => ("move", Some(raw.digest.clone())),
        _ => ("create", Some(raw.digest.clone())),
    };
    TagReceipt {
        tag,
        action: action.to_owned(),
        previous: was,
        digest,
    }
}

fn receipt(
    job: &PublishJob<'_>,
    place: &PublishTarget<'_>,
    raw: &RawManifest,
    tags: Vec<TagReceipt>,
    durations: BTreeMap<String, u64>,
) -> Receipt {
    let engine = match job.built.map(|built| built.engine) {
        Some(EngineKind::Docker) => "docker",
        Some(EngineKind::Embedded) => "embedded",
        Some(EngineKind::Auto) | None => "none",
    };
    let published = OffsetDateTime::from_unix_timestamp(job.now)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok());
    let base = job.recipe.base.name();
    Receipt {
        schema: 1,
        image: job.planned.name.to_string(),
        version: job.planned.publish.clone(),
        variant: job.planned.variant.as_ref().map(ToString::to_string),
        repository: place.planned.repository.clone(),
        digest: raw.digest.clone(),
        size: size(raw),
        inputs: job.recipe.inputs.clone(),
        tags,
        base: base.map(|name| BaseReceipt {
            name,
            digest: job.recipe.base.digest().cloned(),
        }),
        engine: engine.to_owned(),
        durations,
        published: published.unwrap_or_default(),
    }
}

/// The manifest and all that it names; of an index, what is below its images is not known here.
fn size(raw: &RawManifest) -> Option<u64> {
    match raw.parse().ok()? {
        Manifest::Image(image) => {
            let below: u64 = image
                .layers
                .iter()
                .chain([&image.config])
                .map(|descriptor| descriptor.size)
                .sum();
            Some(raw.bytes.len() as u64 + below)
        }
        Manifest::Index(_) => None,
    }
}
