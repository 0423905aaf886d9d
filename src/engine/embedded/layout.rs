//! A base that is an image of an OCI layout: its manifest and config are read from files, its layers stay there.

use std::path::PathBuf;

use super::base::{choose, parse, platforms_of};
use super::{Embedded, Error};
use crate::assemble::{Assembled, AssembledImage, Layer, LayerSource};
use crate::oci::{Descriptor, ImageConfig, Manifest, RawManifest};
use crate::platform::Platform;
use crate::reference::Digest;
use crate::resolve::image::Layout;
use crate::workspace::fs;

impl Embedded {
    /// The image of a layout for a platform, for this machine's when none is named.
    pub fn layout(&self, layout: &Layout, platform: Option<&Platform>) -> Result<Assembled, Error> {
        let host = super::host_platform();
        Ok(Assembled::new(vec![image(layout, platform.unwrap_or(&host))?]))
    }
}

/// The image of a layout for a platform.
pub(super) fn image(layout: &Layout, platform: &Platform) -> Result<AssembledImage, Error> {
    let name = &layout.written;
    let mut raw = manifest(layout, &layout.media_type, &layout.digest)?;
    let mut read = parse(&raw, name)?;
    if let Manifest::Index(index) = &read {
        let child = choose(index, platform).ok_or_else(|| Error::Platform {
            reference: name.clone(),
            wanted: platform.clone(),
            has: platforms_of(index),
        })?;
        raw = manifest(layout, &child.media_type, &child.digest)?;
        read = parse(&raw, name)?;
    }
    let Manifest::Image(image) = read else {
        let what = "its index names another index".to_owned();
        return Err(crate::assemble::Error::Base(what).into());
    };
    let config = blob(layout, &image.config.digest)?;
    let has = ImageConfig::parse(&config)
        .map_err(|source| Error::Config { reference: name.clone(), source })?
        .platform();
    if has != *platform {
        let (reference, has) = (name.clone(), has.to_string());
        return Err(Error::Platform { reference, wanted: platform.clone(), has });
    }
    let layers = image.layers.iter().map(|descriptor| layer(layout, descriptor)).collect::<Result<_, _>>()?;
    Ok(AssembledImage { platform: platform.clone(), manifest: raw, config: config.into(), layers })
}

fn manifest(layout: &Layout, media_type: &str, digest: &Digest) -> Result<RawManifest, Error> {
    Ok(RawManifest::new(media_type, blob(layout, digest)?))
}

/// A small blob, which must be what its digest says.
fn blob(layout: &Layout, digest: &Digest) -> Result<Vec<u8>, Error> {
    let bytes = fs::read(&place(layout, digest)?)?;
    if digest.algorithm() != "sha256" || Digest::of(&bytes) == *digest {
        Ok(bytes)
    } else {
        Err(broken(layout, digest, "is not what its digest says"))
    }
}

/// A layer, which must be there in full length; its bytes are compared with its digest by whoever reads them.
fn layer(layout: &Layout, descriptor: &Descriptor) -> Result<Layer, Error> {
    // A foreign layer need not be there; what becomes of it is not decided here.
    if !descriptor.urls.is_empty() {
        let path = layout.directory.join("blobs");
        return Ok(Layer { descriptor: descriptor.clone(), source: LayerSource::File(path) });
    }
    let path = place(layout, &descriptor.digest)?;
    let length = std::fs::metadata(&path).map(|file| file.len()).unwrap_or_default();
    if length != descriptor.size {
        return Err(broken(layout, &descriptor.digest, "has not the length that the manifest says"));
    }
    Ok(Layer { descriptor: descriptor.clone(), source: LayerSource::File(path) })
}

/// The file of a blob, which must be there and not lead out of the layout.
fn place(layout: &Layout, digest: &Digest) -> Result<PathBuf, Error> {
    let path = layout.directory.join("blobs").join(digest.algorithm()).join(digest.hex());
    match std::fs::canonicalize(&path) {
        Ok(real) if real.starts_with(&layout.directory) && real.is_file() => Ok(real),
        Ok(_) => Err(broken(layout, digest, "leads out of the layout")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(broken(layout, digest, "is missing"))
        }
        Err(source) => Err(Error::File { path, source }),
    }
}

fn broken(layout: &Layout, digest: &Digest, what: &'static str) -> Error {
    Error::Blob { base: layout.written.clone(), digest: digest.to_string(), what }
}
