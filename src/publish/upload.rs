//! Uploads an image: the blobs by digest, then, after a decision on current tag lists, the manifest
//! under the immutable tag.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::decide::{PublishTarget, config_of, decide};
use super::{Error, PublishJob};
use crate::assemble::{Assembled, Layer, LayerSource};
use crate::engine::Artifact;
use crate::image::{Follow, Tree};
use crate::oci::{Descriptor, RawManifest};
use crate::plan::{ContentSource, PlanStep, PlannedDestination};
use crate::reference::{Digest, Reference, Repository, Tag, Target};
use crate::registry::Repo;
use crate::store::blobs::Blobs;
use crate::tags;

/// The number of blobs of an image that are uploaded concurrently.
const CONCURRENT: usize = 8;

/// An image that every registry has under its immutable tag.
#[derive(Debug)]
pub struct Uploaded<'a> {
    pub(super) job: PublishJob<'a>,
    /// Each registry with the manifest for the tags; `None` if the version is withdrawn and not
    /// published.
    pub(super) destinations: Vec<(PublishTarget<'a>, Option<RawManifest>)>,
    pub(super) milliseconds: u64,
}

impl Uploaded<'_> {
    /// The content as `repository@digest`, one reference per changed registry.
    #[must_use]
    pub fn references(&self) -> Vec<Reference> {
        let reference = |(destination, raw): &(PublishTarget<'_>, Option<RawManifest>)| {
            Some(destination.repo.name().digest(&raw.as_ref()?.digest))
        };
        self.destinations.iter().filter_map(reference).collect()
    }

    /// Decides again on current tag lists, for an image that waited for the upload of others. Fails
    /// if a list cannot be read.
    pub async fn refreshed(mut self) -> Result<Self, Error> {
        for (destination, _) in &mut self.destinations {
            destination.refresh(&self.job).await?;
        }
        Ok(self)
    }
}

/// Uploads an image to every registry that lacks it, and puts its immutable tag. Fails if any
/// registry refuses or cannot be reached.
///
/// The blobs are sent first: they have no tag, so no reader sees them. Then all tag lists are read
/// and everything is decided for every registry before the first tag is written, so that the
/// decision does not depend on how long the blobs took.
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
    let upload_set = UploadSet::of(&job).await?;
    for planned in job.busy().filter(|planned| planned.is_new()) {
        job.events.step(
            job.image(),
            format!("push {}:{}", planned.repository, full_tag(&job)?),
        );
        if let Some(upload_set) = &upload_set {
            send(&job, planned, upload_set).await?;
        }
    }
    let mut done = Vec::new();
    for mut destination in decide(&job).await? {
        let raw = match destination.published.take() {
            Some(raw) => {
                let is_republished = destination.planned.content == ContentSource::Upload
                    && !destination.planned.is_new();
                // An image that was built again from equal inputs may be incomplete in the
                // registry: a blob may have been lost.
                if let Some(upload_set) = upload_set
                    .as_ref()
                    .filter(|upload_set| is_republished && upload_set.top.digest == raw.digest)
                {
                    send(&job, destination.planned, upload_set).await?;
                }
                Some(raw)
            }
            None if job.is_withdrawn() => None,
            None => {
                preserve(&job, &destination).await?;
                Some(put_immutable_tag(&job, &destination, upload_set.as_ref()).await?)
            }
        };
        done.push((destination, raw));
    }
    Ok(Uploaded {
        job,
        destinations: done,
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

/// Puts the tag that keeps the first content of a version reachable, before the tag of that version
/// moves.
async fn preserve(job: &PublishJob<'_>, destination: &PublishTarget<'_>) -> Result<(), Error> {
    let Some((tag, raw)) = &destination.original else {
        return Ok(());
    };
    job.events.step(
        job.image(),
        format!("tag {}: {tag}", destination.planned.repository),
    );
    let put = destination.repo.put(tag, raw).await;
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

/// Puts the content under the immutable tag only.
async fn put_immutable_tag(
    job: &PublishJob<'_>,
    destination: &PublishTarget<'_>,
    upload_set: Option<&UploadSet>,
) -> Result<RawManifest, Error> {
    let Some(upload_set) = upload_set else {
        return match job.built.map(|built| &built.artifact) {
            Some(Artifact::Docker { id }) => through_engine(job, destination, id).await,
            _ => Err(Error::NotBuilt(job.image().to_owned())),
        };
    };
    if !destination.planned.is_new() {
        job.events.step(
            job.image(),
            format!(
                "push {}:{}",
                destination.planned.repository,
                destination.out.full()
            ),
        );
        send(job, destination.planned, upload_set).await?;
    }
    put(
        job,
        destination.planned,
        upload_set,
        destination.out.full(),
        &upload_set.top,
    )
    .await?;
    Ok(upload_set.top.clone())
}

/// Puts a manifest whose content was just uploaded. distribution may report blobs as missing for a
/// moment while another publisher uploads the same ones, and may claim to have blobs that it lost.
async fn put(
    job: &PublishJob<'_>,
    planned: &PlannedDestination,
    upload_set: &UploadSet,
    target: impl Into<Target>,
    manifest: &RawManifest,
) -> Result<(), Error> {
    let repo = job.registries.repo(&planned.repository);
    let target = target.into();
    for (pause, repair) in REPAIRS {
        match repo.put(&target, manifest).await {
            Err(error) if error.misses_content() => {
                tracing::debug!(%error, ?repair, "the registry misses what was uploaded");
            }
            done => return Ok(done?),
        }
        tokio::time::sleep(pause).await;
        send_again(job, planned, upload_set, repair).await?;
    }
    Ok(repo.put(&target, manifest).await?)
}

/// The content to upload again after the registry reported missing content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repair {
    /// Nothing: the registry may only be late.
    Nothing,
    /// The blobs that the registry does not have.
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
    upload_set: &UploadSet,
    repair: Repair,
) -> Result<(), Error> {
    if repair == Repair::Nothing {
        return Ok(());
    }
    let blobs = Blobs::new(job.registries.clone());
    let repo = job.registries.repo(&planned.repository);
    let sent = stream::iter(&upload_set.blobs).map(async |blob| {
        let source = blobs.source(blob);
        match repair {
            Repair::Everything => repo.replace_blob(&blob.descriptor, &source).await,
            Repair::Missing | Repair::Nothing => repo.push_blob(&blob.descriptor, &source).await,
        }
    });
    sent.buffer_unordered(CONCURRENT)
        .try_collect::<Vec<_>>()
        .await?;
    for child in &upload_set.children {
        repo.put(&child.digest, child).await?;
    }
    Ok(())
}

/// Lets the engine push the immutable tag, and verifies that the registry has the image of the
/// engine.
async fn through_engine(
    job: &PublishJob<'_>,
    destination: &PublishTarget<'_>,
    id: &Digest,
) -> Result<RawManifest, Error> {
    let Some(docker) = job.docker else {
        return Err(Error::NotBuilt(job.image().to_owned()));
    };
    let repository = &destination.planned.repository;
    let full = destination.out.full();
    let reference = repository.tag(full);
    docker.tag(id, &reference).await?;
    docker
        .push(
            &reference,
            job.logins.get(&repository.host),
            job.image(),
            job.events,
        )
        .await?;
    let mut polling = destination.repo.registry().polling();
    loop {
        let found = destination.repo.manifest(full).await?;
        let config = match &found {
            Some(raw) => config_of(destination.planned, raw)?,
            None => None,
        };
        let error = match (found, config) {
            (Some(raw), Some(found)) if found != *id && raw.digest != *id => {
                let error = Error::OtherContent {
                    reference: reference.to_string(),
                    found,
                    expected: id.clone(),
                };
                // The registry may still show the previous manifest.
                if destination.previous.as_ref() != Some(&raw.digest) {
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

/// All content of an image; children come before the manifests that reference them.
struct UploadSet {
    blobs: Vec<Layer>,
    children: Vec<RawManifest>,
    top: RawManifest,
}

impl UploadSet {
    /// The content to send; `None` if the engine sends it or if there is nothing to send.
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
            // Only the digest and the size of a config matter here; the manifest has its media
            // type.
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

    /// The content of a published image, to be copied from its registry.
    async fn published(
        job: &PublishJob<'_>,
        from: &Repository,
        digest: &Digest,
    ) -> Result<Self, Error> {
        let repo = job.registries.repo(from);
        let top = fetch(&repo, digest).await?;
        let tree = Tree::load(&repo, top, Follow::All).await?;
        if let Some(digest) = tree.missing.first() {
            return Err(Error::Vanished(from.digest(digest)));
        }
        let descriptors = tree.blobs(&repo)?.into_iter();
        let blobs = descriptors.map(|descriptor| Layer {
            descriptor,
            source: LayerSource::Registry(from.clone()),
        });
        Ok(Self {
            blobs: blobs.collect(),
            children: tree.below,
            top: tree.top,
        })
    }

    /// Omits foreign layers, and blobs that several platforms share.
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

async fn fetch(repo: &Repo, digest: &Digest) -> Result<RawManifest, Error> {
    let found = repo.manifest(digest).await?;
    found.ok_or_else(|| Error::Vanished(repo.name().digest(digest)))
}

/// Sends everything without a tag: the blobs, and the children of an index.
async fn send(
    job: &PublishJob<'_>,
    planned: &PlannedDestination,
    upload_set: &UploadSet,
) -> Result<(), Error> {
    let blobs = Blobs::new(job.registries.clone());
    let repo = job.registries.repo(&planned.repository);
    let sent = stream::iter(&upload_set.blobs).map(|blob| send_blob(&blobs, &repo, blob));
    sent.buffer_unordered(CONCURRENT)
        .try_collect::<Vec<()>>()
        .await?;
    for child in &upload_set.children {
        put(job, planned, upload_set, &child.digest, child).await?;
    }
    Ok(())
}

/// Mounts a blob if the registry has it in another repository; else uploads it.
async fn send_blob(blobs: &Blobs, to: &Repo, blob: &Layer) -> Result<(), Error> {
    let from = match &blob.source {
        LayerSource::Registry(from) if from.host == to.name().host => Some(&from.path),
        _ => None,
    };
    to.transfer_blob(&blob.descriptor, from, &blobs.source(blob))
        .await?;
    Ok(())
}
