//! A base that is an image of an OCI layout: its manifest and config are read from files, its layers stay there.

use super::Error;
use super::base::{choose, name_variant, parse, platforms_of};
use crate::assemble::{AssembledImage, LayerSource};
use crate::oci::{Descriptor, ImageConfig, Manifest};
use crate::platform::Platform;
use crate::resolve::image::Layout;
use crate::store::layout::LayoutReader;

/// The image of a layout for a platform.
pub(in crate::engine) fn layout_image(layout: &Layout, platform: &Platform) -> Result<AssembledImage, Error> {
    let (name, reader) = (&layout.written, LayoutReader::open(&layout.directory)?);
    let other = |has: String| Error::Platform { reference: name.clone(), wanted: platform.clone(), has };
    let mut raw = reader.manifest(&layout.media_type, &layout.digest)?;
    let mut read = parse(&raw, name)?;
    let mut chosen = None;
    if let Manifest::Index(index) = &read {
        let child = choose(index, platform).ok_or_else(|| other(platforms_of(index)))?;
        raw = reader.manifest(&child.media_type, &child.digest)?;
        chosen = child.platform.as_ref().map(Platform::from);
        read = parse(&raw, name)?;
    }
    let Manifest::Image(image) = read else {
        let what = "its index names another index".to_owned();
        return Err(crate::assemble::Error::Base(what).into());
    };
    let config = reader.blob(&image.config.digest)?;
    let mut has =
        ImageConfig::parse(&config).map_err(|source| Error::Config { reference: name.clone(), source })?;
    if let Some(chosen) = &chosen {
        name_variant(&mut has, chosen);
    }
    if has.platform() != *platform {
        return Err(other(has.platform().to_string()));
    }
    let layer = |descriptor: &Descriptor| match descriptor.urls.as_slice() {
        [] => reader.layer(descriptor),
        // A foreign layer is not in the layout; that it cannot be built on, the assembly says.
        _ => Ok(crate::assemble::Layer {
            descriptor: descriptor.clone(),
            source: LayerSource::File(layout.directory.clone()),
        }),
    };
    let layers = image.layers.iter().map(layer).collect::<Result<_, _>>()?;
    Ok(AssembledImage { platform: platform.clone(), manifest: raw, config: config.into(), layers })
}
