//! The upload: blobs and manifests once, under the immutable tag.

use std::time::Instant;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::prepare::{Place, Prepared, config_of};
use super::{Error, Job};
use crate::assemble::{Assembled, Layer, LayerSource};
use crate::engine::Artifact;
use crate::oci::{Descriptor, ImageManifest, Manifest, RawManifest};
use crate::plan::Step;
use crate::reference::{Digest, Reference, Repository, Target};
use crate::registry::{Mount, Registry};
use crate::store::blobs::Blobs;

/// How many blobs of an image travel at once.
const CONCURRENT: usize = 4;

/// An image whose content every registry has, under the immutable tag.
#[derive(Debug)]
pub struct Uploaded<'a> {
    pub(super) job: Job<'a>,
    pub(super) places: Vec<(Place<'a>, RawManifest)>,
    pub(super) milliseconds: u64,
}

impl Uploaded<'_> {
    /// Where the content is, as `repository@digest`, one a registry in which something is to be done.
    #[must_use]
    pub fn references(&self) -> Vec<Reference> {
        let reference = |(place, raw): &(Place<'_>, RawManifest)| Reference {
            repository: place.planned.repository.clone(),
            tag: None,
            digest: Some(raw.digest.clone()),
        };
        self.places.iter().map(reference).collect()
    }
}

/// Sends the content to every registry that lacks it, one registry after the other.
pub async fn upload(prepared: Prepared<'_>) -> Result<Uploaded<'_>, Error> {
    let Prepared { job, places } = prepared;
    let start = Instant::now();
    let mut done = Vec::with_capacity(places.len());
    for mut place in places {
        let raw = match place.there.take() {
            Some(raw) => raw,
            None => send(&job, &place).await?,
        };
        done.push((place, raw));
    }
    Ok(Uploaded { job, places: done, milliseconds: super::release::milliseconds(start) })
}

async fn send(job: &Job<'_>, place: &Place<'_>) -> Result<RawManifest, Error> {
    let repository = &place.planned.repository;
    job.events.step(job.image(), format!("push {repository}:{}", place.out.full()));
    match (job.built.map(|built| &built.artifact), &job.planned.step) {
        (Some(Artifact::Docker { id }), _) => through_engine(job, place, id).await,
        (Some(Artifact::Assembled(assembled)), _) => put(job, place, &Parcel::of(assembled)).await,
        (None, Step::Copy { from, digest, .. }) => {
            let parcel = Parcel::published(job, from, digest).await?;
            put(job, place, &parcel).await
        }
        (None, _) => Err(Error::NotBuilt(job.image().to_owned())),
    }
}

/// Lets the engine push the immutable tag, and proves that what arrived is what the engine has.
async fn through_engine(job: &Job<'_>, place: &Place<'_>, id: &Digest) -> Result<RawManifest, Error> {
    let Some(docker) = job.docker else { return Err(Error::NotBuilt(job.image().to_owned())) };
    let repository = &place.planned.repository;
    let full = place.out.full();
    let reference = Reference { repository: repository.clone(), tag: Some(full.clone()), digest: None };
    docker.tag(id, &reference).await?;
    docker.push(&reference, job.logins.get(&repository.host), job.image(), job.events).await?;
    let found = place.registry.get_manifest(&repository.path, &Target::from(full)).await?;
    let Some(raw) = found else { return Err(Error::Vanished(reference)) };
    match config_of(place.planned, &raw)? {
        Some(found) if found != *id && raw.digest != *id => {
            Err(Error::OtherContent { reference: reference.to_string(), found, expected: id.clone() })
        }
        _ => Ok(raw),
    }
}

/// All that an image consists of, children before what names them.
struct Parcel {
    blobs: Vec<Layer>,
    children: Vec<RawManifest>,
    top: RawManifest,
}

impl Parcel {
    fn of(assembled: &Assembled) -> Self {
        let mut blobs = Vec::new();
        let mut children = Vec::new();
        for image in &assembled.images {
            blobs.extend(image.layers.iter().cloned());
            // Only the digest and the size of a config matter here; the media type stands in the manifest.
            let descriptor = Descriptor::of("", &image.config);
            blobs.push(Layer { descriptor, source: LayerSource::Inline(image.config.clone()) });
            if image.manifest.digest != assembled.top.digest {
                children.push(image.manifest.clone());
            }
        }
        Self::without_duplicates(blobs, children, assembled.top.clone())
    }

    /// An image of a registry, to be copied from there.
    async fn published(job: &Job<'_>, from: &Repository, digest: &Digest) -> Result<Self, Error> {
        let registry = job.registries.of(from)?;
        let top = fetch(&registry, from, digest).await?;
        let parse = |raw: &RawManifest| {
            raw.parse().map_err(|source| Error::Manifest { repository: from.clone(), source })
        };
        let mut images = Vec::new();
        let mut children = Vec::new();
        match parse(&top)? {
            Manifest::Image(image) => images.push(image),
            Manifest::Index(index) => {
                for child in &index.manifests {
                    let raw = fetch(&registry, from, &child.digest).await?;
                    if let Manifest::Image(image) = parse(&raw)? {
                        images.push(image);
                    }
                    children.push(raw);
                }
            }
        }
        let descriptors = images
            .into_iter()
            .flat_map(|ImageManifest { config, layers, .. }| layers.into_iter().chain([config]));
        let blobs =
            descriptors.map(|descriptor| Layer { descriptor, source: LayerSource::Registry(from.clone()) });
        Ok(Self::without_duplicates(blobs.collect(), children, top))
    }

    /// Foreign layers stay where they are; what several platforms share travels once.
    fn without_duplicates(blobs: Vec<Layer>, children: Vec<RawManifest>, top: RawManifest) -> Self {
        let mut seen = std::collections::BTreeSet::new();
        let keep =
            |blob: &Layer| blob.descriptor.urls.is_empty() && seen.insert(blob.descriptor.digest.clone());
        Self { blobs: blobs.into_iter().filter(keep).collect(), children, top }
    }
}

async fn fetch(registry: &Registry, repository: &Repository, digest: &Digest) -> Result<RawManifest, Error> {
    let found = registry.get_manifest(&repository.path, &Target::from(digest)).await?;
    let reference = || Reference { repository: repository.clone(), tag: None, digest: Some(digest.clone()) };
    found.ok_or_else(|| Error::Vanished(reference()))
}

async fn put(job: &Job<'_>, place: &Place<'_>, parcel: &Parcel) -> Result<RawManifest, Error> {
    let blobs = Blobs::new(job.registries.clone());
    let sent = stream::iter(&parcel.blobs).map(|blob| send_blob(&blobs, place, blob));
    sent.buffer_unordered(CONCURRENT).try_collect::<Vec<()>>().await?;
    let path = &place.planned.repository.path;
    for child in &parcel.children {
        place.registry.put_manifest(path, &Target::from(&child.digest), child).await?;
    }
    still_free(place, &parcel.top).await?;
    place.registry.put_manifest(path, &Target::from(place.out.full()), &parcel.top).await?;
    Ok(parcel.top.clone())
}

/// The upload took its time: a version that somebody else published meanwhile is left alone.
async fn still_free(place: &Place<'_>, raw: &RawManifest) -> Result<(), Error> {
    let full = place.out.full();
    let Repository { path, .. } = &place.planned.repository;
    if place.existing.has(full) {
        return Ok(());
    }
    match place.registry.head_manifest(path, &Target::from(full)).await? {
        Some(found) if found.digest != raw.digest => Err(Error::Raced {
            repository: place.planned.repository.clone(),
            tag: full.clone(),
            what: format!("somebody else published it as {} meanwhile", found.digest),
        }),
        _ => Ok(()),
    }
}

/// Mounts a blob where the registry has it in another repository; else uploads it.
async fn send_blob(blobs: &Blobs, place: &Place<'_>, blob: &Layer) -> Result<(), Error> {
    let Repository { host, path } = &place.planned.repository;
    if let LayerSource::Registry(from) = &blob.source
        && from.host == *host
        && (from.path == *path
            || place.registry.mount_blob(path, &blob.descriptor.digest, &from.path).await? == Mount::Done)
    {
        return Ok(());
    }
    place.registry.push_blob(path, &blob.descriptor, &blobs.source(blob)).await?;
    Ok(())
}
