//! Reads a layout: its manifests, configs and layers. Each is compared with its digest.

use std::path::{Path, PathBuf};

use super::super::Error;
use crate::assemble::{Layer, LayerSource};
use crate::image::{self, Described, Source};
use crate::oci::layout::{self, REF_NAME};
use crate::oci::{Bytes, Descriptor, Index, RawManifest};
use crate::reference::Digest;
use crate::workspace::fs;

/// The problem of a blob that does not exist.
const MISSING: &str = "is missing";
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

    /// Describes an image. For an index, describes the images that the layout contains.
    pub async fn describe(&self, top: &Descriptor) -> Result<Described, Error> {
        let raw = RawManifest::new(&top.media_type, self.blob(&top.digest)?);
        Described::load(self, raw).await
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
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(self.missing(digest)),
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

impl Source for LayoutReader {
    type Error = Error;

    async fn manifest(&self, descriptor: &Descriptor) -> Result<Option<RawManifest>, Error> {
        match self.blob(&descriptor.digest) {
            Ok(bytes) => Ok(Some(RawManifest::new(&descriptor.media_type, bytes))),
            Err(Error::Blob { what: MISSING, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn metadata(&self, descriptor: &Descriptor) -> Result<Bytes, Error> {
        Ok(self.blob(&descriptor.digest)?.into())
    }

    fn missing(&self, digest: &Digest) -> Error {
        self.damaged(digest, MISSING)
    }

    fn unusable(&self, digest: &Digest, problem: image::Error) -> Error {
        Error::Manifest(format!("{}: {digest}: {problem}", self.directory.display()))
    }
}

fn invalid(path: &Path, what: &str) -> Error {
    Error::Layout {
        path: path.to_owned(),
        what: what.to_owned(),
    }
}
