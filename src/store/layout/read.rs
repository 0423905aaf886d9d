//! Reads a layout: its manifests, configs and layers. Each is compared with its digest.

use std::path::{Path, PathBuf};

use super::super::Error;
use crate::assemble::{Layer, LayerSource};
use crate::oci::artifact::ArtifactKind;
use crate::oci::layout::{self, REF_NAME};
use crate::oci::{Descriptor, ImageConfig, Index, Manifest, RawManifest};
use crate::reference::Digest;
use crate::registry::{Described, DescribedImage};
use crate::workspace::fs;

/// The size limit of `index.json`.
const MAX_INDEX: u64 = 64 << 20;

/// A layout that can be read.
#[derive(Debug, Clone)]
pub struct LayoutReader {
    directory: PathBuf,
}

impl LayoutReader {
    /// Opens the layout in a directory. Fails if the directory is not a layout.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let failed = |source| Error::File {
            path: directory.to_owned(),
            source,
        };
        let real = std::fs::canonicalize(directory).map_err(failed)?;
        if real.join("oci-layout").is_file() {
            Ok(Self { directory: real })
        } else {
            Err(invalid(directory, "the file oci-layout is missing"))
        }
    }

    /// Finds the image with the name and the digest. Returns its descriptor and all its names.
    pub fn find(
        &self,
        name: Option<&str>,
        digest: Option<&Digest>,
    ) -> Result<(Descriptor, Vec<String>), Error> {
        let bytes = fs::read_in(
            &self.directory,
            &self.directory.join("index.json"),
            MAX_INDEX,
        )?;
        let wrong = |error: layout::Error| invalid(&self.directory, &error.to_string());
        let found = layout::find(&bytes, name, digest).map_err(|error| match error {
            layout::Error::Json(_) => wrong(error),
            _ => Error::NoImage {
                path: self.directory.clone(),
                what: error.to_string(),
            },
        })?;
        let index: Index = serde_json::from_slice(&bytes).map_err(|error| wrong(error.into()))?;
        let same = index
            .manifests
            .iter()
            .filter(|entry| entry.digest == found.digest);
        let names = same
            .filter_map(|entry| entry.annotations.get(REF_NAME).cloned())
            .collect();
        Ok((found, names))
    }

    /// Reads a manifest or an index.
    pub fn manifest(&self, media_type: &str, digest: &Digest) -> Result<RawManifest, Error> {
        Ok(RawManifest::new(media_type, self.blob(digest)?))
    }

    /// Reads a small blob into memory. Fails if it does not match its digest.
    pub fn blob(&self, digest: &Digest) -> Result<Vec<u8>, Error> {
        let bytes = fs::read_real(&self.blob_path(digest)?)?;
        if digest.is_of(&bytes) {
            Ok(bytes)
        } else {
            Err(self.damaged(digest, "does not match its digest"))
        }
    }

    /// A layer. Fails if its file does not have the full size. The reader of the bytes compares
    /// them with the digest.
    pub fn layer(&self, descriptor: &Descriptor) -> Result<Layer, Error> {
        let path = self.blob_path(&descriptor.digest)?;
        let length = fs::open_real(&path)
            .and_then(|file| file.metadata())
            .map(|file| file.len())
            .unwrap_or_default();
        if length != descriptor.size {
            return Err(self.damaged(&descriptor.digest, "does not have the size in the manifest"));
        }
        Ok(Layer {
            descriptor: descriptor.clone(),
            source: LayerSource::File(path),
        })
    }

    /// Describes an image. For an index, describes the images that the layout contains.
    pub fn describe(&self, top: &Descriptor) -> Result<Described, Error> {
        let raw = self.manifest(&top.media_type, &top.digest)?;
        let images = match self.parse(&raw)? {
            Manifest::Image(_) => self.described(&raw)?.into_iter().collect(),
            Manifest::Index(index) => {
                // Indexes list attestations as images of an unknown platform.
                let image = |child: &&Descriptor| {
                    child
                        .platform
                        .as_ref()
                        .is_none_or(|platform| platform.os != "unknown")
                };
                let all = index.manifests.iter().filter(image);
                let existing = all.filter(|child| self.blob_path(&child.digest).is_ok());
                let image = |child: &Descriptor| {
                    self.described(&self.manifest(&child.media_type, &child.digest)?)
                };
                let images = existing
                    .map(image)
                    .collect::<Result<Vec<Option<DescribedImage>>, _>>()?;
                images.into_iter().flatten().collect()
            }
        };
        Ok(Described::new(raw, images))
    }

    /// Describes one image of the layout. None for an artifact.
    fn described(&self, raw: &RawManifest) -> Result<Option<DescribedImage>, Error> {
        let Manifest::Image(manifest) = self.parse(raw)? else {
            return Err(self.damaged(&raw.digest, "is an index inside another index"));
        };
        if ArtifactKind::of(raw) != ArtifactKind::Image {
            return Ok(None);
        }
        let config = ImageConfig::parse(&self.blob(&manifest.config.digest)?)
            .map_err(|error| Error::Manifest(error.to_string()))?;
        Ok(Some(DescribedImage {
            platform: config.platform(),
            digest: raw.digest.clone(),
            manifest,
            config,
        }))
    }

    fn parse(&self, raw: &RawManifest) -> Result<Manifest, Error> {
        let message = |error| format!("{}: {}: {error}", self.directory.display(), raw.digest);
        raw.parse().map_err(|error| Error::Manifest(message(error)))
    }

    /// The path of a blob. Fails if it does not exist or leads out of the layout.
    fn blob_path(&self, digest: &Digest) -> Result<PathBuf, Error> {
        let path = self
            .directory
            .join("blobs")
            .join(digest.algorithm())
            .join(digest.hex());
        match std::fs::canonicalize(&path) {
            Ok(real) if real.starts_with(&self.directory) && real.is_file() => Ok(real),
            Ok(_) => Err(self.damaged(digest, "is not a file in the layout")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(self.damaged(digest, "is missing"))
            }
            Err(source) => Err(Error::File { path, source }),
        }
    }

    fn damaged(&self, digest: &Digest, what: &'static str) -> Error {
        Error::Blob {
            path: self.directory.clone(),
            digest: digest.to_string(),
            what,
        }
    }
}

fn invalid(path: &Path, what: &str) -> Error {
    Error::Layout {
        path: path.to_owned(),
        what: what.to_owned(),
    }
}
