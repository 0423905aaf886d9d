//! Where `build` writes an assembled image: `--to oci:DIR`, `--to docker-archive:FILE`, `.golden/oci` without.

use std::path::PathBuf;
use std::str::FromStr;

use super::{Blobs, Error, archive, layout};
use crate::assemble::Assembled;
use crate::reference::Reference;

/// A local destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// An OCI layout directory, which may hold other images already.
    Layout(PathBuf),
    /// A file for `docker load`.
    Archive(PathBuf),
}

impl FromStr for Destination {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.split_once(':') {
            Some(("oci", path)) if !path.is_empty() => Ok(Self::Layout(path.into())),
            Some(("docker-archive", path)) if !path.is_empty() => Ok(Self::Archive(path.into())),
            _ => Err(Error::Destination(text.to_owned())),
        }
    }
}

/// An image with the names that it gets at its destination.
#[derive(Debug, Clone)]
pub struct Named<'a> {
    /// The image.
    pub image: &'a Assembled,
    /// Its local references, the most specific first (7-rules 18).
    pub references: Vec<Reference>,
}

impl Destination {
    /// Writes images; what is there already is not written again. Where each is, as skopeo and buildah name it:
    /// `oci:.golden/oci:static:1.0.0`.
    pub async fn write(&self, images: &[Named<'_>], blobs: &Blobs) -> Result<Vec<String>, Error> {
        match self {
            Self::Layout(directory) => layout::write(directory, images, blobs).await,
            Self::Archive(file) => archive::write_file(file, images, blobs).await,
        }
    }
}
