//! A base image: a manifest, a config and layers that are consistent.

use super::Error;
use super::execution::NeedsExecution;
use super::image::{Layer, LayerSource};
use crate::oci::{Descriptor, ImageConfig, ImageManifest, media};
use crate::platform::Platform;

/// A base image for one platform.
#[derive(Debug, Clone)]
pub struct BaseImage {
    /// The config of the base.
    pub config: ImageConfig,
    /// The layers, bottom first.
    pub layers: Vec<Layer>,
    /// True if the base has the format of Docker's schema 2. golden keeps this format unless the
    /// spec requests OCI. False if the base has the OCI format.
    pub docker: bool,
}

impl BaseImage {
    /// The empty base: no layers and an empty config.
    #[must_use]
    pub fn scratch(platform: &Platform) -> Self {
        Self {
            config: ImageConfig::scratch(platform),
            layers: Vec::new(),
            docker: false,
        }
    }

    /// Makes a base from its manifest and config. Fails if they are inconsistent, if a layer has an
    /// unsupported type, or if the config has ONBUILD triggers.
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
                "its manifest has {layers} layers, but its config has {ids} diff_ids"
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

/// Refuses a layer that registries do not accept or that no engine can unpack.
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
            "a foreign layer: its content is stored at other URLs, and registries refuse it"
        }
        _ => "which golden does not support",
    };
    let (digest, media_type) = (layer.digest.to_string(), layer.media_type.clone());
    Err(Error::LayerType {
        digest,
        media_type,
        why,
    })
}
