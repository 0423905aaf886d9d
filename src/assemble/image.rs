//! What assembling makes: manifests, configs, and layers that say where their bytes are.

use std::path::PathBuf;

use crate::oci::{Bytes, Descriptor, RawManifest};
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
