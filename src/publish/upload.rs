//! The upload: blobs by digest, then, decided on fresh lists, the manifest under the immutable tag.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::decide::{PublishTarget, config_of, decide};
use super::{Error, PublishJob};
use crate::assemble::{Assembled, Layer, LayerSource};
use crate::engine::Artifact;
use crate::oci::{Descriptor, ImageManifest, Manifest, RawManifest};
use crate::plan::{ContentSource, PlanStep, PlannedDestination};
use crate::reference::{Digest, Reference, Repository, Tag, Target};
use crate::registry::Registry;
use crate::store::blobs::Blobs;
use crate::tags;

/// How many blobs of an image travel at once.
const CONCURRENT: usize = 8;

/// An image whose content every registry has, under the immutable tag.
#[derive(Debug)]
pub struct Uploaded<'a> {
    pub(super) job: PublishJob<'a>,
    /// Each registry with the manifest that the tags are put on; none if the version is withdrawn and not published.
    pub(super) places: Vec<(PublishTarget<'a>, Option<RawManifest>)>,
    pub(super) milliseconds: u64,
}

impl Uploaded<'_> {
    /// Where the content is, as `repository@digest`, one a registry in which something is to be done.
    #[must_use]
    pub fn references(&self) -> Vec<Reference> {
        let reference = |(place, raw): &(PublishTarget<'_>, Option<RawManifest>)| {
            let digest = Some(raw.as_ref()?.digest.clone());
            Some(Reference {
                repository: place.planned.repository.clone(),
                tag: None,
                digest,
            })
        };
        self.places.iter().filter_map(reference).collect()
    }

    /// The same, decided once more on fresh lists: for images that were held while others were uploaded.
    pub async fn refreshed(mut self) -> Result<Self, Error> {
        for (place, _) in &mut self.places {
            place.refresh(&self.job).await?;
        }
        Ok(self)
    }
}

/// Brings the content of an image to every registry that lacks it, and names it by its immutable tag.
///
/// Blobs travel first: they have no name that anybody could be misled by. Then the lists of tags are read and
/// everything is decided, in every registry, before the first tag is written anywhere, however long the blobs took.
pub async fn upload(job: PublishJob<'_>) -> Result<Uploaded<'_>, Error> {
    if let PlanStep::Refuse { because, help } = &job.planned.step {
        let (because, help) = (because.clone(), help.clone());
        return Err(Error::Refused {
            image: job.image().to_owned(),
            because,
            help,
        });
    }
    let start = Instant::now();
    let parcel = UploadSet::of(&job).await?;
    for planned in job.busy().filter(|planned| planned.is_new()) {
        job.events.step(
            job.image(),
            format!("push {}:{}", planned.repository, full_tag(&job)?),
        );
        if let Some(parcel) = &parcel {
            send(&job, planned, parcel).await?;
        }
    }
    let mut done = Vec::new();
    for mut place in decide(&job).await? {
        let raw = match place.there.take() {
            Some(raw) => {
                let again =
                    place.planned.content == ContentSource::Upload && !place.planned.is_new();
                // What is built in spite of equal inputs may exist in part only: a blob may have got lost.
                if let Some(parcel) = parcel
                    .as_ref()
                    .filter(|parcel| again && parcel.top.digest == raw.digest)
                {
                    send(&job, place.planned, parcel).await?;
                }
                Some(raw)
            }
            None if job.is_withdrawn() => None,
            None => {
                preserve(&job, &place).await?;
                Some(name(&job, &place, parcel.as_ref()).await?)
            }
        };
        done.push((place, raw));
    }
    Ok(Uploaded {
        job,
        places: done,
        milliseconds: super::release::milliseconds(start),
    })
}

fn full_tag(job: &PublishJob<'_>) -> Result<Tag, Error> {
    let image = &job.recipe.image;
    Ok(
        tags::fan_out(&job.planned.publish, image.variant.as_ref(), &image.tags)?
            .full()
            .clone(),
    )
}

/// Puts the tag that keeps the first content of a version reachable, before that version's tag moves.
async fn preserve(job: &PublishJob<'_>, place: &PublishTarget<'_>) -> Result<(), Error> {
    let Some((tag, raw)) = &place.original else {
        return Ok(());
    };
    job.events.step(
        job.image(),
        format!("tag {}: {tag}", place.planned.repository),
    );
    let put = place
        .registry
        .put_manifest(&place.planned.repository.path, &Target::from(tag), raw)
        .await;
    match put {
        Err(error) if error.misses_content() => {
            let warning = format!(
                "{tag} was not created, because the registry lost a part of the first content"
            );
            job.events.warn(Some(job.image()), warning);
            Ok(())
        }
        done => Ok(done?),
    }
}

/// Puts the content under the immutable tag, and nothing else.
async fn name(
    job: &PublishJob<'_>,
    place: &PublishTarget<'_>,
    parcel: Option<&UploadSet>,
) -> Result<RawManifest, Error> {
    let Some(parcel) = parcel else {
        return match job.built.map(|built| &built.artifact) {
            Some(Artifact::Docker { id }) => through_engine(job, place, id).await,
            _ => Err(Error::NotBuilt(job.image().to_owned())),
        };
    };
    if !place.planned.is_new() {
        job.events.step(
            job.image(),
            format!("push {}:{}", place.planned.repository, place.out.full()),
        );
        send(job, place.planned, parcel).await?;
    }
    put(
        job,
        place.planned,
        parcel,
        &Target::from(place.out.full()),
        &parcel.top,
    )
    .await?;
    Ok(parcel.top.clone())
}

/// Puts a manifest whose content was just uploaded. distribution misses blobs for a moment when another publisher uploads
/// the same ones, and claims to have blobs that it lost.
async fn put(
    job: &PublishJob<'_>,
    planned: &PlannedDestination,
    parcel: &UploadSet,
    target: &Target,
    manifest: &RawManifest,
) -> Result<(), Error> {
    let registry = job.registries.of(&planned.repository)?;
    let path = &planned.repository.path;
    for (pause, repair) in REPAIRS {
        match registry.put_manifest(path, target, manifest).await {
            Err(error) if error.misses_content() => {
                tracing::debug!(%error, ?repair, "the registry misses what was uploaded");
            }
            done => return Ok(done?),
        }
        tokio::time::sleep(pause).await;
        send_again(job, planned, parcel, repair).await?;
    }
    Ok(registry.put_manifest(path, target, manifest).await?)
}

/// How much is uploaded again when the registry says that it misses content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repair {
    /// Nothing: it may only be late.
    Nothing,
    /// The blobs that the registry says it does not have.
    Missing,
    /// Every blob.
    Everything,
}

const REPAIRS: [(Duration, Repair); 4] = [
    (Duration::from_millis(50), Repair::Nothing),
    (Duration::from_millis(200), Repair::Missing),
    (Duration::from_millis(500), Repair::Missing),
    (Duration::from_secs(1), Repair::Everything),
];

async fn send_again(
    job: &PublishJob<'_>,
    planned: &PlannedDestination,
    parcel: &UploadSet,
    repair: Repair,
) -> Result<(), Error> {
    if repair == Repair::Nothing {
        return Ok(());
    }
    let blobs = Blobs::new(job.registries.clone());
    let registry = job.registries.of(&planned.repository)?;
    let path = &planned.repository.path;
    let sent = stream::iter(&parcel.blobs).map(async |blob| {
        let source = blobs.source(blob);
        match repair {
            Repair::Everything => registry.replace_blob(path, &blob.descriptor, &source).await,
            Repair::Missing | Repair::Nothing => {
                registry.push_blob(path, &blob.descriptor, &source).await
            }
        }
    });
    sent.buffer_unordered(CONCURRENT)
        .try_collect::<Vec<_>>()
        .await?;
    for child in &parcel.children {
        registry
            .put_manifest(path, &Target::from(&child.digest), child)
            .await?;
    }
    Ok(())
}

/// Lets the engine push the immutable tag, and proves that what arrived is what the engine has.
async fn through_engine(
    job: &PublishJob<'_>,
    place: &PublishTarget<'_>,
    id: &Digest,
) -> Result<RawManifest, Error> {
    let Some(docker) = job.docker else {
        return Err(Error::NotBuilt(job.image().to_owned()));
    };
    let repository = &place.planned.repository;
    let full = place.out.full();
    let reference = Reference {
        repository: repository.clone(),
        tag: Some(full.clone()),
        digest: None,
    };
    docker.tag(id, &reference).await?;
    docker
        .push(
            &reference,
            job.logins.get(&repository.host),
            job.image(),
            job.events,
        )
        .await?;
    let mut polling = place.registry.polling();
    loop {
        let found = place
            .registry
            .get_manifest(&repository.path, &Target::from(full))
            .await?;
        let config = match &found {
            Some(raw) => config_of(place.planned, raw)?,
            None => None,
        };
        let error = match (found, config) {
            (Some(raw), Some(found)) if found != *id && raw.digest != *id => {
                let error = Error::OtherContent {
                    reference: reference.to_string(),
                    found,
                    expected: id.clone(),
                };
                // What was there before may be shown for a while.
                if place.was.as_ref() != Some(&raw.digest) {
                    return Err(error);
                }
                error
            }
            (Some(raw), _) => return Ok(raw),
            (None, _) => Error::Vanished(reference.clone()),
        };
        if !polling.again().await {
            return Err(error);
        }
    }
}

/// All that an image consists of, children before what names them.
struct UploadSet {
    blobs: Vec<Layer>,
    children: Vec<RawManifest>,
    top: RawManifest,
}

impl UploadSet {
    /// What is to be sent; none when the engine sends it, or when nothing is known to send.
    async fn of(job: &PublishJob<'_>) -> Result<Option<Self>, Error> {
        match (job.built.map(|built| &built.artifact), &job.planned.step) {
            (Some(Artifact::Assembled(assembled)), _) => Ok(Some(Self::assembled(assembled))),
            (None, PlanStep::Copy { from, digest, .. }) => {
                Self::published(job, from, digest).await.map(Some)
            }
            (Some(Artifact::Docker { .. }) | None, _) => Ok(None),
        }
    }

    fn assembled(assembled: &Assembled) -> Self {
        let mut blobs = Vec::new();
        let mut children = Vec::new();
        for image in &assembled.images {
            blobs.extend(image.layers.iter().cloned());
            // Only the digest and the size of a config matter here; the media type stands in the manifest.
            let descriptor = Descriptor::of("", &image.config);
            blobs.push(Layer {
                descriptor,
                source: LayerSource::Inline(image.config.clone()),
            });
            if image.manifest.digest != assembled.top.digest {
                children.push(image.manifest.clone());
            }
        }
        Self::without_duplicates(blobs, children, assembled.top.clone())
    }

    /// An image of a registry, to be copied from there.
    async fn published(
        job: &PublishJob<'_>,
        from: &Repository,
        digest: &Digest,
    ) -> Result<Self, Error> {
        let registry = job.registries.of(from)?;
        let top = fetch(&registry, from, digest).await?;
        let below = registry.below(&from.path, &top, |_| true).await?;
        if let Some(digest) = below.missing.into_iter().next() {
            let reference = Reference {
                repository: from.clone(),
                tag: None,
                digest: Some(digest),
            };
            return Err(Error::Vanished(reference));
        }
        let mut images = Vec::new();
        for raw in below.manifests.iter().chain([&top]) {
            let parsed = raw.parse();
            if let Manifest::Image(image) = parsed.map_err(|source| Error::Manifest {
                repository: from.clone(),
                source,
            })? {
                images.push(image);
            }
        }
        let descriptors = images
            .into_iter()
            .flat_map(|ImageManifest { config, layers, .. }| layers.into_iter().chain([config]));
        let blobs = descriptors.map(|descriptor| Layer {
            descriptor,
            source: LayerSource::Registry(from.clone()),
        });
        Ok(Self::without_duplicates(
            blobs.collect(),
            below.manifests,
            top,
        ))
    }

    /// Foreign layers stay where they are; what several platforms share travels once.
    fn without_duplicates(blobs: Vec<Layer>, children: Vec<RawManifest>, top: RawManifest) -> Self {
        let mut seen = std::collections::BTreeSet::new();
        let keep = |blob: &Layer| {
            blob.descriptor.urls.is_empty() && seen.insert(blob.descriptor.digest.clone())
        };
        Self {
            blobs: blobs.into_iter().filter(keep).collect(),
            children,
            top,
        }
    }
}

async fn fetch(
    registry: &Registry,
    repository: &Repository,
    digest: &Digest,
) -> Result<RawManifest, Error> {
    let found = registry
        .get_manifest(&repository.path, &Target::from(digest))
        .await?;
    let reference = || Reference {
        repository: repository.clone(),
        tag: None,
        digest: Some(digest.clone()),
    };
    found.ok_or_else(|| Error::Vanished(reference()))
}

/// Sends the blobs and what an index names: all that has no tag.
async fn send(
    job: &PublishJob<'_>,
    planned: &PlannedDestination,
    parcel: &UploadSet,
) -> Result<(), Error> {
    let blobs = Blobs::new(job.registries.clone());
    let registry = job.registries.of(&planned.repository)?;
    let sent = stream::iter(&parcel.blobs)
        .map(|blob| send_blob(&blobs, &registry, &planned.repository, blob));
    sent.buffer_unordered(CONCURRENT)
        .try_collect::<Vec<()>>()
        .await?;
    for child in &parcel.children {
        put(job, planned, parcel, &Target::from(&child.digest), child).await?;
    }
    Ok(())
}

/// Mounts a blob where the registry has it in another repository; else uploads it.
async fn send_blob(
    blobs: &Blobs,
    registry: &Registry,
    to: &Repository,
    blob: &Layer,
) -> Result<(), Error> {
    let from = match &blob.source {
        LayerSource::Registry(from) if from.host == to.host => Some(&from.path),
        _ => None,
    };
    registry
        .bring_blob(&to.path, &blob.descriptor, from, &blobs.source(blob))
        .await?;
    Ok(())
}
