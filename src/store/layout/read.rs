//! Reading a layout: its manifests, configs and layers, each compared with its digest.

use std::path::{Path, PathBuf};

use super::super::Error;
use crate::assemble::{Layer, LayerSource};
use crate::oci::artifact::ArtifactKind;
use crate::oci::layout::{self, REF_NAME};
use crate::oci::{Descriptor, ImageConfig, Index, Manifest, RawManifest};
use crate::reference::Digest;
use crate::registry::{Described, DescribedImage};
use crate::workspace::fs;

/// A layout to read from.
#[derive(Debug, Clone)]
pub struct LayoutReader {
    directory: PathBuf,
}

impl LayoutReader {
    /// The layout in a folder.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let failed = |source| Error::File {
            path: directory.to_owned(),
            source,
        };
        let real = std::fs::canonicalize(directory).map_err(failed)?;
        if real.join("oci-layout").is_file() {
            Ok(Self { directory: real })
        } else {
            Err(not_one(directory, "it has no file oci-layout"))
        }
    }

    /// The image that a name and a digest mean, and all its names.
    pub fn find(
        &self,
        name: Option<&str>,
        digest: Option<&Digest>,
    ) -> Result<(Descriptor, Vec<String>), Error> {
        let bytes = fs::read(&self.directory.join("index.json"))?;
        let wrong = |error: layout::Error| not_one(&self.directory, &error.to_string());
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

    /// A manifest or an index.
    pub fn manifest(&self, media_type: &str, digest: &Digest) -> Result<RawManifest, Error> {
        Ok(RawManifest::new(media_type, self.blob(digest)?))
    }

    /// A small blob.
    pub fn blob(&self, digest: &Digest) -> Result<Vec<u8>, Error> {
        let bytes = fs::read(&self.place(digest)?)?;
        if digest.is_of(&bytes) {
            Ok(bytes)
        } else {
            Err(self.broken(digest, "is not what its digest says"))
        }
    }

    /// A layer, which must be there in full length; its bytes are compared with its digest by whoever reads them.
    pub fn layer(&self, descriptor: &Descriptor) -> Result<Layer, Error> {
        let path = self.place(&descriptor.digest)?;
        let length = std::fs::metadata(&path)
            .map(|file| file.len())
            .unwrap_or_default();
        if length != descriptor.size {
            return Err(self.broken(
                &descriptor.digest,
                "has not the length that the manifest says",
            ));
        }
        Ok(Layer {
            descriptor: descriptor.clone(),
            source: LayerSource::File(path),
        })
    }

    /// An image as people want to see it; of an index, the images of it that are there.
    pub fn describe(&self, top: &Descriptor) -> Result<Described, Error> {
        let raw = self.manifest(&top.media_type, &top.digest)?;
        let images = match self.parse(&raw)? {
            Manifest::Image(_) => self.described(&raw)?.into_iter().collect(),
            Manifest::Index(index) => {
                // Attestations stand in indexes as images of an unknown platform.
                let image = |child: &&Descriptor| {
                    child
                        .platform
                        .as_ref()
                        .is_none_or(|platform| platform.os != "unknown")
                };
                let all = index.manifests.iter().filter(image);
                let there = all.filter(|child| self.place(&child.digest).is_ok());
                let image = |child: &Descriptor| {
                    self.described(&self.manifest(&child.media_type, &child.digest)?)
                };
                let images = there
                    .map(image)
                    .collect::<Result<Vec<Option<DescribedImage>>, _>>()?;
                images.into_iter().flatten().collect()
            }
        };
        Ok(Described::new(raw, images))
    }

    /// An image of the layout; none when it is an artifact.
    fn described(&self, raw: &RawManifest) -> Result<Option<DescribedImage>, Error> {
        let Manifest::Image(manifest) = self.parse(raw)? else {
            return Err(self.broken(&raw.digest, "is an index in an index"));
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
        let what = |error| format!("{}: {}: {error}", self.directory.display(), raw.digest);
        raw.parse().map_err(|error| Error::Manifest(what(error)))
    }

    /// The file of a blob, which must be there and not lead out of the layout.
    fn place(&self, digest: &Digest) -> Result<PathBuf, Error> {
        let path = self
            .directory
            .join("blobs")
            .join(digest.algorithm())
            .join(digest.hex());
        match std::fs::canonicalize(&path) {
            Ok(real) if real.starts_with(&self.directory) && real.is_file() => Ok(real),
            Ok(_) => Err(self.broken(digest, "leads out of it")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(self.broken(digest, "is missing"))
            }
            Err(source) => Err(Error::File { path, source }),
        }
    }

    fn broken(&self, digest: &Digest, what: &'static str) -> Error {
        Error::Blob {
            path: self.directory.clone(),
            digest: digest.to_string(),
            what,
        }
    }
}

fn not_one(path: &Path, what: &str) -> Error {
    Error::Layout {
        path: path.to_owned(),
        what: what.to_owned(),
    }
}
