//! A layer: a tar with its compression, and the digests and the size that identify it.

use std::io::{self, Read, Write};
use std::path::Path;

use super::gzip::Gzip;
use super::tar::{self, Entry};
use crate::reference::{Digest, HashedWriter};
use schemars::JsonSchema;
use serde::Deserialize;

/// The compression of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Supported by every registry and every engine.
    #[default]
    Gzip,
    /// Smaller and faster to decompress. Only OCI has a media type for it.
    Zstd,
}

/// The compression level, zstd's default.
const ZSTD_LEVEL: i32 = 3;

/// The digests and the size of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenLayer {
    /// The digest of the uncompressed tar.
    pub diff_id: Digest,
    /// The digest of the compressed bytes.
    pub digest: Digest,
    /// The number of compressed bytes.
    pub size: u64,
}

/// Writes entries as a layer to `out`. The compressors in golden's build produce the same bytes on
/// every machine. Fails if a file cannot be read or has changed since it was hashed.
pub fn write<W: Write, R: Read>(
    entries: &[Entry],
    mtime: u64,
    compression: Compression,
    out: W,
    open: impl FnMut(&Path) -> io::Result<R>,
) -> io::Result<(WrittenLayer, W)> {
    finish(tar::write(entries, mtime, packed(compression, out)?, open)?)
}

/// Compresses an existing tar to a layer, with gzip.
pub fn compress<W: Write>(mut plain: impl Read, out: W) -> io::Result<(WrittenLayer, W)> {
    let mut layer = packed(Compression::Gzip, out)?;
    io::copy(&mut plain, &mut layer)?;
    finish(layer)
}

/// A compressor that hashes its output.
enum Packed<W: Write> {
    Gzip(Gzip<HashedWriter<W>>),
    Zstd(zstd::stream::write::Encoder<'static, HashedWriter<W>>),
}

/// Makes a writer that accepts a plain tar and hashes it before and after compression.
fn packed<W: Write>(compression: Compression, out: W) -> io::Result<HashedWriter<Packed<W>>> {
    let out = HashedWriter::new(out);
    Ok(HashedWriter::new(match compression {
        Compression::Gzip => Packed::Gzip(Gzip::new(out)),
        Compression::Zstd => Packed::Zstd(zstd::stream::write::Encoder::new(out, ZSTD_LEVEL)?),
    }))
}

fn finish<W: Write>(layer: HashedWriter<Packed<W>>) -> io::Result<(WrittenLayer, W)> {
    let (diff_id, _, packed) = layer.finish();
    let out = match packed {
        Packed::Gzip(gzip) => gzip.finish()?,
        Packed::Zstd(zstd) => zstd.finish()?,
    };
    let (digest, size, out) = out.finish();
    Ok((
        WrittenLayer {
            diff_id,
            digest,
            size,
        },
        out,
    ))
}

impl<W: Write> Write for Packed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Gzip(gzip) => gzip.write(bytes),
            Self::Zstd(zstd) => zstd.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Gzip(gzip) => gzip.flush(),
            Self::Zstd(zstd) => zstd.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Content;
    use super::super::tar::EntryKind;
    use super::*;

    fn written(compression: Compression) -> (WrittenLayer, Vec<u8>) {
        let kind = EntryKind::File(Content::inline("hello\n".repeat(1000).into_bytes()));
        let entries = [Entry {
            path: "hello".to_owned(),
            mode: 0o644,
            uid: 0,
            gid: 0,
            kind,
        }];
        let (layer, bytes) =
            write(&entries, 0, compression, Vec::new(), |_| Ok(io::empty())).unwrap();
        assert_eq!(layer.digest, Digest::of(&bytes));
        assert_eq!(layer.size, bytes.len() as u64);
        (layer, bytes)
    }

    #[test]
    fn the_layer_is_the_same_on_every_machine() {
        let (gzip, bytes) = written(Compression::Gzip);
        let mut plain = Vec::new();
        flate2::read::MultiGzDecoder::new(bytes.as_slice())
            .read_to_end(&mut plain)
            .unwrap();
        assert_eq!(gzip.diff_id, Digest::of(&plain));
        insta::assert_snapshot!(gzip.digest, @"sha256:3220e48b5761f6c7e2c7beea9b823c0fec24fba818f93b70183e0d077c3e8994");
        let (zstd, bytes) = written(Compression::Zstd);
        assert_eq!(zstd::decode_all(bytes.as_slice()).unwrap(), plain);
        assert_eq!(zstd.diff_id, gzip.diff_id);
        insta::assert_snapshot!(zstd.digest, @"sha256:e01b4310ac5d1f46d6ac60bb9621ee66f2d7f0c05404ebf8dbf892d303b7a9ad");
    }
}
