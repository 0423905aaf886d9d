//! Converts Docker manifests to OCI manifests, because readers of a layout ignore all other types.
//! Layers and configs keep their bytes and digests; only their media types in the manifests change.

use std::borrow::Cow;

use super::super::Error;
use crate::assemble::json::to_json;
use crate::assemble::{Assembled, AssembledImage};
use crate::oci::{Manifest, RawManifest, media};

/// Returns the image with all manifests converted to OCI.
pub(in crate::store) fn image(image: &Assembled) -> Result<Cow<'_, Assembled>, Error> {
    let docker = |raw: &RawManifest| {
        matches!(
            raw.media_type.as_str(),
            media::DOCKER_MANIFEST | media::DOCKER_LIST
        )
    };
    if !docker(&image.top) && !image.images.iter().any(|image| docker(&image.manifest)) {
        return Ok(Cow::Borrowed(image));
    }
    let mut images = Vec::new();
    for one in &image.images {
        images.push(AssembledImage {
            manifest: manifest(&one.manifest)?,
            ..one.clone()
        });
    }
    let top = match parse(&image.top)? {
        Manifest::Image(_) => manifest(&image.top)?,
        Manifest::Index(mut index) => {
            for entry in &mut index.manifests {
                let old = image
                    .images
                    .iter()
                    .position(|one| one.manifest.digest == entry.digest);
                if let Some(new) = old.map(|at| images[at].manifest.descriptor()) {
                    (entry.media_type, entry.digest, entry.size) =
                        (new.media_type, new.digest, new.size);
                }
            }
            index.media_type = Some(media::OCI_INDEX.to_owned());
            RawManifest::new(media::OCI_INDEX, to_json(&index))
        }
    };
    Ok(Cow::Owned(Assembled { top, images }))
}

/// Converts the manifest of one image.
fn manifest(raw: &RawManifest) -> Result<RawManifest, Error> {
    let Manifest::Image(mut manifest) = parse(raw)? else {
        return Ok(raw.clone());
    };
    if raw.media_type != media::DOCKER_MANIFEST {
        return Ok(raw.clone());
    }
    manifest.media_type = Some(media::OCI_MANIFEST.to_owned());
    for part in manifest.layers.iter_mut().chain([&mut manifest.config]) {
        part.media_type = media::as_oci(&part.media_type).to_owned();
    }
    Ok(RawManifest::new(media::OCI_MANIFEST, to_json(&manifest)))
}

fn parse(raw: &RawManifest) -> Result<Manifest, Error> {
    let wrong = |error: crate::oci::manifest::Error| Error::Manifest(error.to_string());
    raw.parse().map_err(wrong)
}
