//! The result of assembling: manifests, configs, and layers with the source of their bytes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::json::to_json;
use crate::oci::{Bytes, Descriptor, ImageManifest, Index, RawManifest, media};
use crate::platform::Platform;
use crate::reference::Repository;

/// An assembled image or index.
#[derive(Debug, Clone)]
pub struct Assembled {
    /// The manifest or index that the tags point to.
    pub top: RawManifest,
    /// The images, one per platform. Without an index there is one image, and its manifest is
    /// `top`.
    pub images: Vec<AssembledImage>,
}

impl Assembled {
    /// The config of `manifest` if that is `top`; for an index, the config of its first image.
    #[must_use]
    pub fn config_of(&self, manifest: &RawManifest) -> Option<&[u8]> {
        let first = self
            .images
            .first()
            .filter(|_| self.top.digest == manifest.digest)?;
        Some(&first.config)
    }

    /// Makes an image of one part, or an index of several: Docker's list if all are Docker's,
    /// otherwise an OCI index.
    #[must_use]
    pub fn new(images: Vec<AssembledImage>) -> Self {
        let top = match images.as_slice() {
            [image] => image.manifest.clone(),
            images => index_of(images),
        };
        Self { top, images }
    }
}

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
    /// The platform of the image.
    pub platform: Platform,
    /// The manifest as it is published.
    pub manifest: RawManifest,
    /// The bytes of the config.
    pub config: Bytes,
    /// The layers, bottom first.
    pub layers: Vec<Layer>,
}

impl AssembledImage {
    /// Makes an image from a config and layers, with a manifest of Docker's schema 2 or OCI's.
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
    /// The descriptor in the manifest.
    pub descriptor: Descriptor,
    /// The source of the bytes.
    pub source: LayerSource,
}

/// The source of the bytes of a layer.
#[derive(Debug, Clone)]
pub enum LayerSource {
    /// The bytes are in memory.
    Inline(Bytes),
    /// The bytes are in a file: a layer that is too large for memory, or a layer of an OCI layout.
    File(PathBuf),
    /// The bytes are in a repository of a registry, to be mounted or streamed.
    Registry(Repository),
}
