//! A parallel gzip compressor (RFC 1952). The input is divided into blocks of a fixed size. Each
//! block becomes a gzip member of its own, as the RFC allows and every reader of layers supports.
//! The block boundaries depend only on the bytes, so the result is the same for any number of
//! cores.
//!
//! The compressor is libdeflate. It is the fastest one that makes the same bytes on every
//! processor: others choose their hash function by the processor.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, sync_channel};

use libdeflater::{CompressionLvl, Compressor};

/// The size of a block in bytes. A block cannot refer to the last 32 KiB of the block before it,
/// which costs less than one percent.
const BLOCK: usize = 1 << 20;
/// The compression level. Its result is smaller than that of gzip's default level.
const LEVEL: i32 = 5;

/// A writer that compresses its input to `out`. The caller must call `finish`.
pub(super) struct Gzip<W: Write> {
    out: W,
    block: Vec<u8>,
    has_members: bool,
    /// Blocks that are being compressed, in order.
    packing: VecDeque<Receiver<io::Result<Vec<u8>>>>,
}

impl<W: Write> Gzip<W> {
    /// Starts a stream.
    pub(super) const fn new(out: W) -> Self {
        Self {
            out,
            block: Vec::new(),
            has_members: false,
            packing: VecDeque::new(),
        }
    }

    /// Writes the remaining blocks. An empty input becomes one empty member.
    pub(super) fn finish(mut self) -> io::Result<W> {
        while let Some(packed) = self.packing.pop_front() {
            self.take(&packed)?;
        }
        if !(self.block.is_empty() && self.has_members) {
            self.out.write_all(&pack(&self.block)?)?;
        }
        Ok(self.out)
    }

    /// Sends a full block to the thread pool.
    fn submit_block(&mut self) -> io::Result<()> {
        // Limit the number of pending blocks, so that memory use does not depend on the size of the
        // layer.
        if self.packing.len() > rayon::current_num_threads()
            && let Some(packed) = self.packing.pop_front()
        {
            self.take(&packed)?;
        }
        let block = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK));
        let (sender, packed) = sync_channel(1);
        rayon::spawn(move || {
            // The receiver is gone if the layer was abandoned.
            drop(sender.send(pack(&block)));
        });
        self.packing.push_back(packed);
        self.has_members = true;
        Ok(())
    }

    fn take(&mut self, packed: &Receiver<io::Result<Vec<u8>>>) -> io::Result<()> {
        let packed = packed
            .recv()
            .map_err(|_| io::Error::other("a compression thread has ended"))??;
        self.out.write_all(&packed)
    }
}

/// Compresses a block to a gzip member, whose header has no name and no time.
fn pack(block: &[u8]) -> io::Result<Vec<u8>> {
    let level = CompressionLvl::new(LEVEL).unwrap_or_default();
    let mut compressor = Compressor::new(level);
    let mut packed = vec![0; compressor.gzip_compress_bound(block.len())];
    let length = compressor
        .gzip_compress(block, &mut packed)
        .map_err(|error| io::Error::other(format!("deflate: {error}")))?;
    packed.truncate(length);
    Ok(packed)
}

impl<W: Write> Write for Gzip<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.block.len() == BLOCK {
            self.submit_block()?;
        }
        let taken = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::*;

    fn packed(bytes: &[u8], piece: usize) -> Vec<u8> {
        let mut gzip = Gzip::new(Vec::new());
        for bytes in bytes.chunks(piece) {
            gzip.write_all(bytes).unwrap();
        }
        gzip.finish().unwrap()
    }

    /// Test data with repeating and random parts.
    fn bytes(length: usize) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(1);
        (0..length)
            .map(|n| {
                if n % 4096 < 2048 {
                    b"golden"[n % 6]
                } else {
                    random.u8(..)
                }
            })
            .collect()
    }

    #[test]
    fn compressed_bytes_of_any_length_are_restored() {
        for length in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 5 * BLOCK + 17] {
            let bytes = bytes(length);
            let packed = packed(&bytes, 100_000);
            let mut plain = Vec::new();
            let mut rest = packed.as_slice();
            let mut members = 0;
            while !rest.is_empty() {
                let mut member = flate2::bufread::GzDecoder::new(rest);
                member.read_to_end(&mut plain).unwrap();
                rest = member.into_inner();
                members += 1;
            }
            assert!(plain == bytes, "{length}");
            assert_eq!(members, length.div_ceil(BLOCK).max(1), "{length}");
        }
    }

    #[test]
    fn the_compressed_bytes_are_the_same_on_every_machine() {
        let digest =
            |length| crate::reference::Digest::of(&packed(&bytes(length), 1 << 16)).to_string();
        assert_eq!(
            digest(100_000),
            "sha256:753aa03fb5d84fe11461893ae60003683cdbcdcc05f88872cd155f8756ceeb26"
        );
        assert_eq!(
            digest(3 * BLOCK + 17),
            "sha256:a9623c7c79b998350aab1688b6cc4b534b26fb247bf449d934f4196aa973c72d"
        );
    }

    #[test]
    fn incompressible_bytes_grow_by_less_than_a_thousandth() {
        let mut random = fastrand::Rng::with_seed(2);
        let noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
            .take(2 * BLOCK + 5)
            .collect();
        assert!(packed(&noise, 1 << 16).len() < noise.len() + noise.len() / 1000);
    }

    proptest! {
        // Each case compresses megabytes.
        #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.div_ceil(16)))]

        #[test]
        fn the_bytes_do_not_depend_on_the_size_of_writes(length in 0..3 * BLOCK, piece in 1..2 * BLOCK) {
            let bytes = bytes(length);
            prop_assert!(packed(&bytes, piece) == packed(&bytes, 1 << 20));
        }
    }
}
