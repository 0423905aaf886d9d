//! What assembling makes: manifests, configs, and layers that say where their bytes are.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::plan::to_json;
use crate::oci::{Bytes, Descriptor, ImageManifest, Index, RawManifest, media};
use crate::platform::Platform;
use crate::reference::Repository;

/// An assembled image or index.
#[derive(Debug, Clone)]
pub struct Assembled {
    /// What the tags will name: the image's manifest, or the index.
    pub top: RawManifest,
    /// The images, one a platform; when there is no index, one whose manifest is `top`.
    pub images: Vec<AssembledImage>,
}

impl Assembled {
    /// The config below `manifest`, if it is this image; of an index, that of its first image.
    #[must_use]
    pub fn config_of(&self, manifest: &RawManifest) -> Option<&[u8]> {
        let first = self
            .images
            .first()
            .filter(|_| self.top.digest == manifest.digest)?;
        Some(&first.config)
    }

    /// One image as it is, several under an index: Docker's list where all of them are Docker's, else OCI's.
    #[must_use]
    pub fn new(images: Vec<AssembledImage>) -> Self {
        let top = match images.as_slice() {
            [image] => image.manifest.clone(),
            images => index_of(images),
        };
        Self { top, images }
    }
}

/// The index of several images.
fn index_of(images: &[AssembledImage]) -> RawManifest {
    let docker = images
        .iter()
        .all(|image| image.manifest.media_type == media::DOCKER_MANIFEST);
    let media_type = if docker {
        media::DOCKER_LIST
    } else {
        media::OCI_INDEX
    };
    let manifests = images.iter().map(|image| {
        let mut descriptor = image.manifest.descriptor();
        descriptor.platform = Some((&image.platform).into());
        descriptor
    });
    let index = Index {
        schema_version: 2,
        media_type: Some(media_type.to_owned()),
        manifests: manifests.collect(),
        subject: None,
        annotations: BTreeMap::new(),
    };
    RawManifest::new(media_type, to_json(&index))
}

/// One assembled image.
#[derive(Debug, Clone)]
pub struct AssembledImage {
    /// Its platform.
    pub platform: Platform,
    /// Its manifest.
    pub manifest: RawManifest,
    /// The bytes of its config.
    pub config: Bytes,
    /// Its layers, bottom first.
    pub layers: Vec<Layer>,
}

impl AssembledImage {
    /// An image of a config and layers, with the manifest that names them: Docker's schema 2, or OCI's.
    #[must_use]
    pub fn new(platform: Platform, config: Bytes, layers: Vec<Layer>, docker: bool) -> Self {
        let (config_type, manifest_type) = if docker {
            (media::DOCKER_CONFIG, media::DOCKER_MANIFEST)
        } else {
            (media::OCI_CONFIG, media::OCI_MANIFEST)
        };
        let manifest = ImageManifest {
            schema_version: 2,
            media_type: Some(manifest_type.to_owned()),
            artifact_type: None,
            config: Descriptor::of(config_type, &config),
            layers: layers
                .iter()
                .map(|layer| layer.descriptor.clone())
                .collect(),
            subject: None,
            annotations: BTreeMap::new(),
        };
        let manifest = RawManifest::new(manifest_type, to_json(&manifest));
        Self {
            platform,
            manifest,
            config,
            layers,
        }
    }
}

/// A layer of an assembled image.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Its descriptor in the manifest.
    pub descriptor: Descriptor,
    /// Where its bytes are.
    pub source: LayerSource,
}

/// Where the bytes of a layer are.
#[derive(Debug, Clone)]
pub enum LayerSource {
    /// In memory.
    Inline(Bytes),
    /// In a file (a layer that is too large to be held, or one of an OCI layout).
    File(PathBuf),
    /// In a repository of a registry: to be mounted there, or streamed from there.
    Registry(Repository),
}
