//! Images whose layers can be read: assembled, in a registry, or in a layout.

use crate::assemble::{Assembled, AssembledImage, Layer, LayerSource};
use crate::image::{Follow, Source, Tree};
use crate::oci::artifact::ArtifactKind;
use crate::oci::{Bytes, Descriptor, ImageConfig, RawManifest, config, packed_size};
use crate::platform::Platform;
use crate::registry::{self, Repo};
use crate::store;
use crate::store::layout::LayoutReader;

/// An image for one platform whose layers can be read.
#[derive(Debug, Clone)]
pub struct ReadableImage {
    /// The platform.
    pub platform: Platform,
    /// The image config.
    pub config: ImageConfig,
    /// The bytes of the config. For a scanned image, golden writes them from the parsed config.
    pub raw_config: Bytes,
    /// The layers, the lowest first.
    pub layers: Vec<Layer>,
}

impl ReadableImage {
    /// The images of an assembled image. Fails if a config is invalid.
    pub fn of_assembled(assembled: &Assembled) -> Result<Vec<Self>, config::Error> {
        let image = |image: &AssembledImage| {
            Ok(Self {
                platform: image.platform.clone(),
                config: ImageConfig::parse(&image.config)?,
                raw_config: image.config.clone(),
                layers: image.layers.clone(),
            })
        };
        assembled.images.iter().map(image).collect()
    }

    /// The image in the form in which an engine loads it.
    #[must_use]
    pub fn assembled(&self) -> AssembledImage {
        let (platform, config) = (self.platform.clone(), self.raw_config.clone());
        AssembledImage::new(platform, config, self.layers.clone(), false)
    }

    /// The size of the compressed layers, in bytes. A layer that is used twice counts once.
    #[must_use]
    pub fn packed(&self) -> u64 {
        packed_size(self.layers.iter().map(|layer| &layer.descriptor))
    }
}

/// The bytes of a config whose original bytes are not known.
pub(super) fn written(config: &ImageConfig) -> Bytes {
    let object = serde_json::Value::Object(config.as_object().clone());
    Bytes::from(object.to_string().into_bytes())
}

/// The image or index of a registry as if it were assembled; its layers stay in the registry. Fails
/// if a manifest or a config cannot be read, or is invalid.
pub async fn published(repo: &Repo, top: RawManifest) -> Result<Assembled, registry::Error> {
    let layer = |descriptor: &Descriptor| {
        Ok(Layer {
            descriptor: descriptor.clone(),
            source: LayerSource::Registry(repo.name().clone()),
        })
    };
    assembled(repo, top, layer).await
}

/// An image or index of a layout as if it were assembled; its layers stay in the layout. Fails if a
/// manifest, a config or a layer cannot be read, or is invalid.
pub async fn of_layout(layout: &LayoutReader, top: &Descriptor) -> Result<Assembled, store::Error> {
    let raw = RawManifest::new(&top.media_type, layout.blob(&top.digest)?);
    assembled(layout, raw, |descriptor| layout.layer(descriptor)).await
}

/// The image or index of a source as if it were assembled. `layer` finds a layer.
async fn assembled<S: Source>(
    source: &S,
    top: RawManifest,
    layer: impl Fn(&Descriptor) -> Result<Layer, S::Error>,
) -> Result<Assembled, S::Error> {
    let tree = Tree::load(source, top, Follow::Images).await?;
    let mut images = Vec::new();
    for (raw, manifest) in tree.images(source)? {
        if ArtifactKind::of(raw) != ArtifactKind::Image {
            continue;
        }
        let config = source.metadata(&manifest.config).await?;
        let parsed = ImageConfig::parse(&config)
            .map_err(|error| source.unusable(&raw.digest, error.into()))?;
        let layers = manifest.layers.iter().map(&layer);
        images.push(AssembledImage {
            platform: parsed.platform(),
            manifest: raw.clone(),
            config,
            layers: layers.collect::<Result<_, _>>()?,
        });
    }
    Ok(Assembled {
        top: tree.top,
        images,
    })
}
