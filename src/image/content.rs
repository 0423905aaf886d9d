//! Writes an image to a repository: the blobs first, then the images of an index, and the top last.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{Blobs, Tree};
use crate::assemble::{Assembled, Layer, LayerSource};
use crate::oci::{Descriptor, RawManifest};
use crate::reference::Target;
use crate::registry::{Error, Registries, Repo};

/// The number of blobs of an image that are uploaded concurrently.
const CONCURRENT: usize = 8;

/// All content of an image, with the source of each blob.
#[derive(Debug)]
pub struct Content {
    /// The manifest or index that tags point to.
    pub top: RawManifest,
    /// The manifests below `top`. A manifest comes after all manifests that it references.
    children: Vec<RawManifest>,
    blobs: Vec<Layer>,
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

impl Content {
    /// The content of an assembled image. Foreign layers are omitted, and a blob that several
    /// platforms share is listed once.
    #[must_use]
    pub fn assembled(assembled: &Assembled) -> Self {
        let images = &assembled.images;
        let blobs = images.iter().flat_map(|image| {
            // Only the digest and the size of a config matter here; the manifest has its media
            // type.
            let config = Layer {
                descriptor: Descriptor::of("", &image.config),
                source: LayerSource::Inline(image.config.clone()),
            };
            image.layers.iter().cloned().chain([config])
        });
        let mut seen = BTreeSet::new();
        let keep = |blob: &Layer| {
            blob.descriptor.urls.is_empty() && seen.insert(blob.descriptor.digest.clone())
        };
        let manifests = images.iter().map(|image| &image.manifest);
        Self {
            blobs: blobs.filter(keep).collect(),
            children: manifests
                .filter(|manifest| manifest.digest != assembled.top.digest)
                .cloned()
                .collect(),
            top: assembled.top.clone(),
        }
    }

    /// The content of a published image, to be copied from its repository. Fails if the repository
    /// lacks a manifest.
    pub async fn published(from: &Repo, top: RawManifest) -> Result<Self, Error> {
        let tree = Tree::whole(from, top).await?;
        let blobs = tree.blobs(from)?.into_iter().map(|descriptor| Layer {
            descriptor,
            source: LayerSource::Registry(from.name().clone()),
        });
        Ok(Self {
            blobs: blobs.collect(),
            children: tree.below,
            top: tree.top,
        })
    }

    /// Sends everything without a tag: the blobs, and the children of an index. A blob is mounted if
    /// the registry has it in another repository; else it is uploaded.
    pub async fn send(&self, registries: &Registries, to: &Repo) -> Result<(), Error> {
        let blobs = Blobs::new(registries.clone());
        let sent = stream::iter(&self.blobs).map(async |blob| {
            let mount_from = match &blob.source {
                LayerSource::Registry(from) if from.host == to.name().host => Some(&from.path),
                _ => None,
            };
            to.transfer_blob(&blob.descriptor, mount_from, &blobs.source(blob))
                .await
        });
        sent.buffer_unordered(CONCURRENT)
            .try_collect::<Vec<_>>()
            .await?;
        for child in &self.children {
            self.put(registries, to, &child.digest, child).await?;
        }
        Ok(())
    }

    /// Puts a manifest whose content was just sent. distribution may report blobs as missing for a
    /// moment while another publisher uploads the same ones, and may claim to have blobs that it
    /// lost.
    pub async fn put(
        &self,
        registries: &Registries,
        to: &Repo,
        target: impl Into<Target>,
        manifest: &RawManifest,
    ) -> Result<(), Error> {
        let target = target.into();
        for (pause, repair) in REPAIRS {
            match to.put(&target, manifest).await {
                Err(error) if error.misses_content() => {
                    tracing::debug!(%error, ?repair, "the registry misses what was uploaded");
                }
                done => return done,
            }
            tokio::time::sleep(pause).await;
            self.send_again(registries, to, repair).await?;
        }
        to.put(&target, manifest).await
    }

    async fn send_again(
        &self,
        registries: &Registries,
        to: &Repo,
        repair: Repair,
    ) -> Result<(), Error> {
        if repair == Repair::Nothing {
            return Ok(());
        }
        let blobs = Blobs::new(registries.clone());
        let sent = stream::iter(&self.blobs).map(async |blob| {
            let source = blobs.source(blob);
            match repair {
                Repair::Everything => to.replace_blob(&blob.descriptor, &source).await,
                Repair::Missing | Repair::Nothing => to.push_blob(&blob.descriptor, &source).await,
            }
        });
        sent.buffer_unordered(CONCURRENT)
            .try_collect::<Vec<_>>()
            .await?;
        for child in &self.children {
            to.put(&child.digest, child).await?;
        }
        Ok(())
    }
}
