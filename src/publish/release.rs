//! Releases an image: moves the moving tags, from the most specific to the least, verifies them and
//! writes the receipts.

use std::collections::BTreeMap;
use std::time::Instant;

use futures_util::{StreamExt as _, TryStreamExt as _, stream, try_join};
use semver::Version;

use super::decide::{PublishTarget, VacatedMove, has_inputs};
use super::receipt::{BaseReceipt, Receipt, TagReceipt, milliseconds};
use super::settle::{Correction, Settled, settle};
use super::upload::UploadedImage;
use super::{Error, PublishJob};
use crate::engine::{BuildOutput, EngineKind};
use crate::event::Step;
use crate::oci::{ImageConfig, Manifest, RawManifest, rfc3339};
use crate::reference::{Digest, Tag};
use crate::tags::{Action, FanOut, Move, PlannedTag, TagRole};

/// The number of tags that are read concurrently.
const CONCURRENT: usize = 8;

/// Moves and verifies the tags in every registry. Writes the receipts and adds them to `receipts`,
/// which has those of the earlier registries if it fails: if a tag does not settle or a receipt
/// cannot be written.
pub async fn release(
    uploaded: UploadedImage<'_>,
    receipts: &mut Vec<Receipt>,
) -> Result<(), Error> {
    let UploadedImage {
        job,
        destinations,
        milliseconds,
    } = uploaded;
    for (destination, raw) in &destinations {
        match raw.as_ref().filter(|_| !job.is_withdrawn()) {
            Some(raw) => receipts.push(release_one(&job, destination, raw, milliseconds).await?),
            None => correct(&job, destination).await?,
        }
    }
    for (destination, _) in &destinations {
        let repository = &destination.planned.repository;
        let receipt = receipts
            .iter_mut()
            .find(|one| one.repository == *repository);
        vacate(&job, destination, receipt).await?;
    }
    Ok(())
}

async fn release_one(
    job: &PublishJob<'_>,
    destination: &PublishTarget<'_>,
    raw: &RawManifest,
    pushing: u64,
) -> Result<Receipt, Error> {
    let start = Instant::now();
    let moves = &destination.moves;
    let previous = previous_digests(destination).await?;
    let full = destination.out.full();
    let must_move = |decided: &&Move| {
        decided.is_push() && decided.tag != *full && previous.get(&decided.tag) != Some(&raw.digest)
    };
    let tags_to_move: Vec<Tag> = moves
        .iter()
        .filter(must_move)
        .map(|decided| decided.tag.clone())
        .collect();
    if !tags_to_move.is_empty() {
        let step = Step::Tag {
            repository: destination.planned.repository.clone(),
            tags: tags_to_move.clone(),
        };
        job.events.step(job.image(), step);
        destination.repo.put_tags(&tags_to_move, raw).await?;
    }
    let moving = milliseconds(start);
    let start = Instant::now();
    // The tag of the version itself was put with the content.
    let put: Vec<Tag> = tags_to_move.into_iter().chain([full.clone()]).collect();
    let (raw, settled) = settle_on(job, destination, raw, &previous, &put).await?;
    report(job, &settled, None);
    remember(job, destination, &raw).await;
    let mut durations = job.durations.clone();
    durations.extend([
        ("push".to_owned(), pushing),
        ("tags".to_owned(), moving),
        ("verify".to_owned(), milliseconds(start)),
    ]);
    let original = destination
        .original
        .as_ref()
        .map(|(tag, original)| TagReceipt {
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
        destination,
        &raw,
        original.into_iter().chain(moved).collect(),
        durations,
    );
    write(job, destination, &receipt)?;
    Ok(receipt)
}

/// Settles the tags on `raw`. If another publisher published an image from the same inputs at the
/// same time, settles on that image, so that both succeed.
async fn settle_on(
    job: &PublishJob<'_>,
    destination: &PublishTarget<'_>,
    raw: &RawManifest,
    previous: &BTreeMap<Tag, Digest>,
    put: &[Tag],
) -> Result<(RawManifest, Vec<Settled>), Error> {
    let rules = &job.recipe.image.tags;
    let settled = settle(
        &destination.repo,
        &destination.out,
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
    let theirs = destination.repo.manifest(found).await?;
    match theirs {
        Some(theirs) if has_inputs(job, &destination.repo, &theirs).await? => {
            let settled = settle(
                &destination.repo,
                &destination.out,
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

/// Moves the moving tags that point to a withdrawn version to the versions that they belong to.
async fn correct(job: &PublishJob<'_>, destination: &PublishTarget<'_>) -> Result<(), Error> {
    let PublishTarget { repo, out, .. } = destination;
    let rules = &job.recipe.image.tags;
    let settled = settle(repo, out, rules, None, &BTreeMap::new(), &[]).await?;
    let withdrawn = job.is_withdrawn().then_some(&out.version);
    report(job, &settled, withdrawn);
    Ok(())
}

/// Moves the tags of other versions that still point to a withdrawn version, and adds the moves to
/// the receipt.
async fn vacate(
    job: &PublishJob<'_>,
    destination: &PublishTarget<'_>,
    mut receipt: Option<&mut Receipt>,
) -> Result<(), Error> {
    let repo = &destination.repo;
    for VacatedMove {
        tag,
        role,
        withdrawn,
    } in &destination.vacated
    {
        let (found, from) = try_join!(repo.head(tag), repo.head(&withdrawn.tag))?;
        let [found, from] = [found, from].map(|read| read.map(|head| head.digest));
        // Another publisher may have moved the tag.
        let Some(previous) = found.filter(|found| Some(found) == from.as_ref()) else {
            continue;
        };
        let planned = |tag: &Tag, role| PlannedTag {
            tag: tag.clone(),
            role,
        };
        let out = FanOut {
            version: withdrawn.version.clone(),
            variant: destination.out.variant.clone(),
            tags: vec![planned(&withdrawn.tag, TagRole::Full), planned(tag, *role)],
        };
        let rules = &job.recipe.image.tags;
        let settled = settle(repo, &out, rules, None, &BTreeMap::new(), &[]).await?;
        report(job, &settled, Some(&withdrawn.version));
        let now = settled.into_iter().find(|settled| settled.tag == *tag);
        if let (Some(now), Some(receipt)) = (now, receipt.as_deref_mut()) {
            receipt.tags.push(TagReceipt {
                tag: now.tag,
                action: "move".to_owned(),
                previous: Some(previous),
                digest: Some(now.digest),
            });
            write(job, destination, receipt)?;
        }
    }
    Ok(())
}

fn write(
    job: &PublishJob<'_>,
    destination: &PublishTarget<'_>,
    receipt: &Receipt,
) -> Result<(), Error> {
    let (registry, name) = (&destination.planned.registry, &job.recipe.image.name);
    Ok(receipt.write(job.state, registry, name, destination.out.full())?)
}

/// Reports the tags that were put on a version other than the published one. `withdrawn` is the
/// version that the tags belong to, if it is withdrawn.
fn report(job: &PublishJob<'_>, settled: &[Settled], withdrawn: Option<&Version>) {
    for Settled {
        tag,
        digest,
        corrected,
    } in settled
    {
        let reason = match (corrected, withdrawn) {
            (None, _) => continue,
            (Some(Correction::Overtaken), Some(version)) => format!("{version} is withdrawn"),
            (Some(Correction::Overtaken), None) => {
                "a higher version was published concurrently".to_owned()
            }
            (Some(Correction::Stray), _) => {
                "the tag rules do not allow the image that it pointed to".to_owned()
            }
        };
        job.events.note(
            Some(job.image()),
            format!("moved {tag} to {}: {reason}", digest.short()),
        );
    }
}

/// Adds the config of the published image to the cache, so that the next plan does not read it.
/// Errors are ignored: the cache is optional.
async fn remember(job: &PublishJob<'_>, destination: &PublishTarget<'_>, raw: &RawManifest) {
    let own = match job.built.map(|built| &built.output) {
        Some(BuildOutput::Assembled(assembled)) => assembled.config_of(raw),
        _ => None,
    };
    if let Some(BuildOutput::Assembled(assembled)) = job.built.map(|built| &built.output)
        && !job.attachments.is_empty()
        && assembled.top.digest == raw.digest
    {
        // The next plan reads which artifacts they have.
        job.cache.put_manifest(&assembled.top);
        for image in &assembled.images {
            job.cache.put_manifest(&image.manifest);
        }
    }
    if let Some(Ok(config)) = own.map(ImageConfig::parse) {
        job.cache.put(&raw.digest, &config);
        return;
    }
    if let Err(error) = job.cache.config(&destination.repo, raw).await {
        tracing::debug!(%error, "cannot cache the config");
    }
}

/// The digests that the existing tags point to before they are moved.
async fn previous_digests(destination: &PublishTarget<'_>) -> Result<BTreeMap<Tag, Digest>, Error> {
    let full = destination.out.full();
    let read = |tag: Tag| async move {
        let found = destination.repo.head(&tag).await?;
        Ok::<_, Error>(found.map(|descriptor| (tag, descriptor.digest)))
    };
    let tags = destination.moves.iter().map(|decided| &decided.tag);
    let existing: Vec<Tag> = tags
        .filter(|tag| *tag != full && destination.existing.has(tag))
        .cloned()
        .collect();
    let found: Vec<_> = stream::iter(existing)
        .map(read)
        .buffered(CONCURRENT)
        .try_collect()
        .await?;
    Ok(found
        .into_iter()
        .flatten()
        .chain(
            destination
                .previous
                .clone()
                .map(|digest| (full.clone(), digest)),
        )
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
    destination: &PublishTarget<'_>,
    raw: &RawManifest,
    tags: Vec<TagReceipt>,
    durations: BTreeMap<String, u64>,
) -> Receipt {
    let engine = match job.built.map(|built| built.engine) {
        Some(EngineKind::Docker) => "docker",
        Some(EngineKind::Embedded) => "embedded",
        Some(EngineKind::Auto) | None => "none",
    };
    let base = job.recipe.base.name();
    Receipt {
        schema: 1,
        image: job.planned.name.to_string(),
        version: job.planned.publish.clone(),
        variant: job.planned.variant.as_ref().map(ToString::to_string),
        repository: destination.planned.repository.clone(),
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
        published: rfc3339(job.now),
    }
}

/// The size of an image with its blobs; `None` for an index, because the sizes of the blobs of its
/// images are not known here.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{Descriptor, media};
    use crate::tags::{MoveReason, TagRole};

    #[test]
    fn a_receipt_has_the_result_of_each_tag() {
        let raw = RawManifest::new(media::OCI_MANIFEST, b"{}".to_vec());
        let [old, other] = ["old", "other"].map(|text| Digest::of(text.as_bytes()));
        let new = &raw.digest;
        let tag: Tag = "1.2".parse().unwrap();
        let keep = Action::Keep {
            holder: semver::Version::new(1, 2, 4),
            tag: "1.2.4".parse().unwrap(),
        };
        let (overtaken, stray) = (Correction::Overtaken, Correction::Stray);
        for (action, was, now, expected) in [
            (&Action::Create, None, None, ("create", Some(new))),
            (&Action::Move, Some(&old), None, ("move", Some(new))),
            (&Action::Move, Some(new), None, ("same", Some(new))),
            (&keep, Some(&old), None, ("keep", Some(&old))),
            (&keep, Some(new), None, ("keep", Some(new))),
            (&Action::Refuse, Some(&old), None, ("keep", Some(&old))),
            (
                &Action::Move,
                Some(&old),
                Some((new, None)),
                ("move", Some(new)),
            ),
            (
                &Action::Move,
                Some(&old),
                Some((&other, Some(overtaken))),
                ("keep", Some(&other)),
            ),
            (
                &keep,
                Some(&old),
                Some((&other, Some(stray))),
                ("move", Some(&other)),
            ),
        ] {
            let decided = Move {
                tag: tag.clone(),
                role: TagRole::Minor,
                action: action.clone(),
                because: MoveReason::Extra,
            };
            let previous = was.map(|was| (tag.clone(), was.clone()));
            let other_tag = Settled {
                tag: "1".parse().unwrap(),
                digest: other.clone(),
                corrected: Some(stray),
            };
            let now = now.map(|(digest, corrected)| Settled {
                tag: tag.clone(),
                digest: digest.clone(),
                corrected,
            });
            let settled: Vec<Settled> = [other_tag].into_iter().chain(now).collect();
            let found = tag_receipt(&decided, &previous.into_iter().collect(), &raw, &settled);
            let expected = TagReceipt {
                tag: tag.clone(),
                action: expected.0.to_owned(),
                previous: was.cloned(),
                digest: expected.1.cloned(),
            };
            assert_eq!(found, expected, "{action:?} {was:?} {settled:?}");
        }
    }

    #[test]
    fn the_size_of_an_image_includes_its_manifest() {
        let blob = |text: &str| Descriptor::of(media::OCI_LAYER, text.as_bytes());
        let image = serde_json::json!({
            "schemaVersion": 2, "config": blob("config"), "layers": [blob("1"), blob("22")],
        });
        let image = image.to_string().into_bytes();
        let expected = image.len() as u64 + 6 + 1 + 2;
        assert_eq!(
            size(&RawManifest::new(media::OCI_MANIFEST, image)),
            Some(expected)
        );
        let index = br#"{"schemaVersion":2,"manifests":[]}"#.to_vec();
        assert_eq!(size(&RawManifest::new(media::OCI_INDEX, index)), None);
    }
}
