//! The docker archive: what `docker load` reads.

use std::path::Path;

use tokio::io::AsyncWrite;

use super::destination::{Named, Written};
use super::{Blobs, Error};

/// Writes an archive file, whole or not at all.
pub async fn write_file(_file: &Path, _images: &[Named<'_>], _blobs: &Blobs) -> Result<Written, Error> {
    todo!()
}

/// Writes an archive into a stream, such as an engine's `load`.
pub async fn write<W: AsyncWrite + Send + Unpin>(
    _out: &mut W,
    _images: &[Named<'_>],
    _blobs: &Blobs,
) -> Result<(), Error> {
    todo!()
}
