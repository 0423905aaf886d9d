//! Images whose layers can be read: assembled, in a registry, or in a layout.

use crate::assemble::{Assembled, Layer, LayerSource};
use crate::image::{Described, DescribedImage};
use crate::oci::{Descriptor, ImageConfig, RawManifest, config};
use crate::platform::Platform;
use crate::registry::{self, Repo};

/// An image for one platform whose layers can be read.
#[derive(Debug, Clone)]
pub struct ReadableImage {
    /// The platform.
    pub platform: Platform,
    /// The image config.
    pub config: ImageConfig,
    /// The layers, the lowest first.
    pub layers: Vec<Layer>,
}

impl ReadableImage {
    /// The images of an assembled image. Fails if a config is invalid.
    pub fn of_assembled(assembled: &Assembled) -> Result<Vec<Self>, config::Error> {
        let image = |image: &crate::assemble::AssembledImage| {
            Ok(Self {
                platform: image.platform.clone(),
                config: ImageConfig::parse(&image.config)?,
                layers: image.layers.clone(),
            })
        };
        assembled.images.iter().map(image).collect()
    }

    /// The images below a manifest of a registry. Fails if a manifest or a config cannot be read.
    pub async fn of_registry(repo: &Repo, top: RawManifest) -> Result<Vec<Self>, registry::Error> {
        let described = Described::load(repo, top).await?;
        let layer = |descriptor: &Descriptor| {
            Ok(Layer {
                descriptor: descriptor.clone(),
                source: LayerSource::Registry(repo.name().clone()),
            })
        };
        Self::of_described(described, layer)
    }

    /// The images of a description. `layer` finds a layer.
    pub fn of_described<E>(
        described: Described,
        layer: impl Fn(&Descriptor) -> Result<Layer, E>,
    ) -> Result<Vec<Self>, E> {
        let image = |image: DescribedImage| {
            Ok(Self {
                platform: image.platform,
                config: image.config,
                layers: image
                    .manifest
                    .layers
                    .iter()
                    .map(&layer)
                    .collect::<Result<_, E>>()?,
            })
        };
        described.images.into_iter().map(image).collect()
    }

    /// The size of the compressed layers, in bytes. A layer that is used twice counts once.
    #[must_use]
    pub fn packed(&self) -> u64 {
        let layers = self.layers.iter().map(|layer| &layer.descriptor);
        let layers: std::collections::BTreeMap<_, u64> = layers
            .map(|descriptor| (&descriptor.digest, descriptor.size))
            .collect();
        layers.values().sum()
    }
}
