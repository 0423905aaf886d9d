//! A layer: a tar with its compression, and the three facts that name it.

use std::io::{self, Read, Write};
use std::path::Path;

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use sha2::{Digest as _, Sha256};

use super::tar::{self, Entry};
use crate::reference::Digest;

/// What names a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenLayer {
    /// Digest of the plain tar.
    pub diff_id: Digest,
    /// Digest of the compressed bytes.
    pub digest: Digest,
    /// Number of compressed bytes.
    pub size: u64,
}

/// Writes entries as a gzip layer into `out`. flate2's own compressor makes the same bytes on every machine; the
/// header names no time, no file and no system.
pub fn write<W: Write, R: Read>(
    entries: &[Entry],
    mtime: u64,
    out: W,
    open: impl FnMut(&Path) -> io::Result<R>,
) -> io::Result<(WrittenLayer, W)> {
    finish(tar::write(entries, mtime, compressed(out), open)?)
}

/// Compresses a tar that somebody else wrote into a layer.
pub fn compress<W: Write>(mut plain: impl Read, out: W) -> io::Result<(WrittenLayer, W)> {
    let mut layer = compressed(out);
    io::copy(&mut plain, &mut layer)?;
    finish(layer)
}

/// Takes a plain tar, and hashes it before and after compression.
type Compressed<W> = Hashing<GzEncoder<Hashing<W>>>;

fn compressed<W: Write>(out: W) -> Compressed<W> {
    let gzip = GzBuilder::new().mtime(0).operating_system(255);
    Hashing::new(gzip.write(Hashing::new(out), Compression::new(6)))
}

fn finish<W: Write>(layer: Compressed<W>) -> io::Result<(WrittenLayer, W)> {
    let (diff_id, _, gzip) = layer.finish();
    let (digest, size, out) = gzip.finish()?.finish();
    Ok((WrittenLayer { diff_id, digest, size }, out))
}

/// A writer that hashes and counts what passes.
struct Hashing<W> {
    out: W,
    hash: Sha256,
    count: u64,
}

impl<W> Hashing<W> {
    fn new(out: W) -> Self {
        Self { out, hash: Sha256::new(), count: 0 }
    }

    fn finish(self) -> (Digest, u64, W) {
        (Digest::from_sha256(&self.hash.finalize()), self.count, self.out)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.count += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Content;
    use super::super::tar::EntryKind;
    use super::*;

    #[test]
    fn the_bytes_are_these_on_every_machine() {
        let kind = EntryKind::File(Content::inline("hello\n".repeat(1000).into_bytes()));
        let entries = [Entry { path: "hello".to_owned(), mode: 0o644, uid: 0, gid: 0, kind }];
        let (layer, bytes) = write(&entries, 0, Vec::new(), |_| Ok(io::empty())).unwrap();
        assert_eq!(layer.digest, Digest::of(&bytes));
        assert_eq!(layer.size, bytes.len() as u64);
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut plain).unwrap();
        assert_eq!(layer.diff_id, Digest::of(&plain));
        insta::assert_snapshot!(layer.digest, @"sha256:4a6b53440c2551062986522199cdabbb7a2c0c0f7f33beb8a1824c596110530b");
    }
}
