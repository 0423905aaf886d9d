//! Reads a base from an OCI layout: its manifest and config. The layers stay in the layout.

use std::collections::BTreeMap;

use super::Error;
use super::base::BaseSource;
use crate::assemble::{AssembledImage, LayerSource};
use crate::oci::Descriptor;
use crate::platform::Platform;
use crate::reference::Digest;
use crate::resolve::image::Layout;
use crate::store::layout::LayoutReader;

/// The manifest digest of each platform in the index of a layout. Empty if the layout has a single
/// image.
pub(crate) async fn layout_platforms(layout: &Layout) -> Result<BTreeMap<Platform, Digest>, Error> {
    let reader = LayoutReader::open(&layout.directory)?;
    BaseSource::Layout(&reader, &layout.written)
        .platforms(&layout.media_type, &layout.digest)
        .await
}

/// The image of a layout for a platform. Fails if the layout is invalid or has no image for the
/// platform.
pub(in crate::engine) async fn layout_image(
    layout: &Layout,
    platform: &Platform,
) -> Result<AssembledImage, Error> {
    let reader = LayoutReader::open(&layout.directory)?;
    let chosen = BaseSource::Layout(&reader, &layout.written)
        .choose(&layout.media_type, &layout.digest, platform)
        .await?;
    let layer = |descriptor: &Descriptor| match descriptor.urls.as_slice() {
        [] => reader.layer(descriptor),
        // A foreign layer is not in the layout. The assembly reports that such a base is not
        // supported.
        _ => Ok(crate::assemble::Layer {
            descriptor: descriptor.clone(),
            source: LayerSource::File(layout.directory.clone()),
        }),
    };
    let layers = chosen
        .manifest
        .layers
        .iter()
        .map(layer)
        .collect::<Result<_, _>>()?;
    Ok(AssembledImage {
        platform: platform.clone(),
        manifest: chosen.raw,
        config: chosen.config_bytes,
        layers,
    })
}
