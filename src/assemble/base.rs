//! What an image is built on: a manifest and a config that fit each other.

use super::Error;
use super::execution::NeedsExecution;
use super::image::{Layer, LayerSource};
use crate::oci::{Descriptor, ImageConfig, ImageManifest, media};
use crate::platform::Platform;

/// A base for one platform.
#[derive(Debug, Clone)]
pub struct BaseImage {
    /// Its config.
    pub config: ImageConfig,
    /// Its layers, bottom first.
    pub layers: Vec<Layer>,
    /// Whether it is Docker's schema 2, which stays what it is; OCI otherwise.
    pub docker: bool,
}

impl BaseImage {
    /// Nothing: no layers, an empty config.
    #[must_use]
    pub fn scratch(platform: &Platform) -> Self {
        Self {
            config: ImageConfig::scratch(platform),
            layers: Vec::new(),
            docker: false,
        }
    }

    /// A base as a manifest and a config describe it. What golden could not pass on unharmed is refused.
    pub fn new(
        manifest: &ImageManifest,
        media_type: &str,
        config: ImageConfig,
        source: impl Fn(&Descriptor) -> LayerSource,
    ) -> Result<Self, Error> {
        manifest.refuse_artifact().map_err(Error::Base)?;
        for layer in &manifest.layers {
            check_layer(layer)?;
        }
        let ids = config
            .diff_ids()
            .ok_or_else(|| Error::Base("its rootfs.diff_ids cannot be read".to_owned()))?;
        if ids.len() != manifest.layers.len() {
            let (layers, ids) = (manifest.layers.len(), ids.len());
            return Err(Error::Base(format!(
                "its manifest has {layers} layers, its config {ids} diff_ids"
            )));
        }
        if !config.words("OnBuild").is_empty() {
            let step = format!(
                "ONBUILD {} (a trigger of the base)",
                config.words("OnBuild").join("; ONBUILD ")
            );
            return Err(NeedsExecution { step }.into());
        }
        let layer = |descriptor: &Descriptor| Layer {
            descriptor: descriptor.clone(),
            source: source(descriptor),
        };
        let layers = manifest.layers.iter().map(layer).collect();
        Ok(Self {
            config,
            layers,
            docker: media_type == media::DOCKER_MANIFEST,
        })
    }
}

/// Refuses a layer that a registry would not take, or that nobody could unpack.
fn check_layer(layer: &Descriptor) -> Result<(), Error> {
    let why = match layer.media_type.as_str() {
        media::OCI_LAYER
        | media::OCI_LAYER_GZIP
        | media::OCI_LAYER_ZSTD
        | media::DOCKER_LAYER
        | media::DOCKER_LAYER_GZIP
        | media::DOCKER_LAYER_ZSTD
            if layer.urls.is_empty() =>
        {
            return Ok(());
        }
        other
            if other.contains("foreign")
                || other.contains("nondistributable")
                || !layer.urls.is_empty() =>
        {
            "a foreign layer: it lives at other addresses, and registries refuse it"
        }
        _ => "which golden does not know",
    };
    let (digest, media_type) = (layer.digest.to_string(), layer.media_type.clone());
    Err(Error::LayerType {
        digest,
        media_type,
        why,
    })
}
