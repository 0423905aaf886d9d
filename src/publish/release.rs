//! The release: moving tags, from the most specific to the least, verified, and written down.

use std::collections::BTreeMap;
use std::time::Instant;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::decide::Place;
use super::receipt::{BaseReceipt, Receipt, TagReceipt};
use super::settle::{Settled, settle};
use super::upload::Uploaded;
use super::{Error, Job};
use crate::engine::EngineKind;
use crate::oci::{Manifest, RawManifest};
use crate::reference::{Digest, Tag, Target};
use crate::tags::{Action, Move};

/// How many tags are read at once.
const CONCURRENT: usize = 8;

/// Moves the tags in every registry and verifies them; the receipts are written and returned.
pub async fn release(uploaded: Uploaded<'_>) -> Result<Vec<Receipt>, Error> {
    let Uploaded { job, places, milliseconds } = uploaded;
    let mut receipts = Vec::with_capacity(places.len());
    for (place, raw) in places {
        receipts.push(release_one(&job, place, &raw, milliseconds).await?);
    }
    Ok(receipts)
}

pub(super) fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

async fn release_one(
    job: &Job<'_>,
    place: Place<'_>,
    raw: &RawManifest,
    pushing: u64,
) -> Result<Receipt, Error> {
    let start = Instant::now();
    let rules = &job.recipe.image.tags;
    let path = &place.planned.repository.path;
    let moves = &place.moves;
    let previous = named(&place).await?;
    let full = place.out.full();
    let behind = |decided: &&Move| {
        decided.is_push() && decided.tag != *full && previous.get(&decided.tag) != Some(&raw.digest)
    };
    let wanted: Vec<Tag> = moves.iter().filter(behind).map(|decided| decided.tag.clone()).collect();
    if !wanted.is_empty() {
        let names: Vec<&str> = wanted.iter().map(Tag::as_str).collect();
        job.events.step(job.image(), format!("tag {}: {}", place.planned.repository, names.join(", ")));
        place.registry.put_tags(path, &wanted, raw).await?;
    }
    let moving = milliseconds(start);
    let start = Instant::now();
    let settled = settle(&place.registry, &place.planned.repository, &place.out, rules, raw).await?;
    for put_back in settled.iter().filter(|settled| settled.put_back) {
        let (tag, digest) = (&put_back.tag, &put_back.digest);
        job.events.note(
            Some(job.image()),
            format!("{tag} is on {}: a higher version came in meanwhile", digest.short()),
        );
    }
    let mut durations = job.durations.clone();
    durations.extend([
        ("push".to_owned(), pushing),
        ("tags".to_owned(), moving),
        ("verify".to_owned(), milliseconds(start)),
    ]);
    let tags = moves.iter().map(|decided| tag_receipt(decided, &previous, raw, &settled)).collect();
    let receipt = receipt(job, &place, raw, tags, durations);
    receipt.write(job.state, &place.planned.registry, &job.recipe.image.name, full)?;
    Ok(receipt)
}

/// What the tags that exist named before they are moved.
async fn named(place: &Place<'_>) -> Result<BTreeMap<Tag, Digest>, Error> {
    let (path, full) = (&place.planned.repository.path, place.out.full());
    let ask = |tag: Tag| async move {
        let found = place.registry.head_manifest(path, &Target::from(&tag)).await?;
        Ok::<_, Error>(found.map(|descriptor| (tag, descriptor.digest)))
    };
    let tags = place.moves.iter().map(|decided| &decided.tag);
    let there: Vec<Tag> = tags.filter(|tag| *tag != full && place.existing.has(tag)).cloned().collect();
    let found: Vec<_> = stream::iter(there).map(ask).buffered(CONCURRENT).try_collect().await?;
    Ok(found.into_iter().flatten().chain(place.was.clone().map(|was| (full.clone(), was))).collect())
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
        (Action::Keep { .. } | Action::Refuse, _) => ("keep", was.clone()),
        (_, Some(now)) if now.put_back => ("keep", Some(now.digest.clone())),
        _ if was.as_ref() == Some(&raw.digest) => ("same", was.clone()),
        _ if was.is_some() => ("move", Some(raw.digest.clone())),
        _ => ("create", Some(raw.digest.clone())),
    };
    TagReceipt { tag, action: action.to_owned(), previous: was, digest }
}

fn receipt(
    job: &Job<'_>,
    place: &Place<'_>,
    raw: &RawManifest,
    tags: Vec<TagReceipt>,
    durations: BTreeMap<String, u64>,
) -> Receipt {
    let engine = match job.built.map(|built| built.engine) {
        Some(EngineKind::Docker) => "docker",
        Some(EngineKind::Embedded) => "embedded",
        Some(EngineKind::Auto) | None => "none",
    };
    let published =
        OffsetDateTime::from_unix_timestamp(job.now).ok().and_then(|time| time.format(&Rfc3339).ok());
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
        base: base.map(|name| BaseReceipt { name, digest: job.recipe.base.digest().cloned() }),
        engine: engine.to_owned(),
        durations,
        published: published.unwrap_or_default(),
    }
}

/// The manifest and all that it names; of an index, what is below its images is not known here.
fn size(raw: &RawManifest) -> Option<u64> {
    match raw.parse().ok()? {
        Manifest::Image(image) => {
            let below: u64 =
                image.layers.iter().chain([&image.config]).map(|descriptor| descriptor.size).sum();
            Some(raw.bytes.len() as u64 + below)
        }
        Manifest::Index(_) => None,
    }
}
