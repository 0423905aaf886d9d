//! The OCI image layout: a directory of blobs by digest (OCI image spec, image-layout.md).

use std::path::Path;

use super::destination::{Named, Written};
use super::{Blobs, Error};

/// Writes images into a layout, which is made when there is none. Each image is one entry of `index.json`, named
/// `NAME:TAG` by its most specific tag; an entry of that name is replaced.
pub async fn write(_directory: &Path, _images: &[Named<'_>], _blobs: &Blobs) -> Result<Written, Error> {
    todo!()
}
