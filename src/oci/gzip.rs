//! A parallel gzip compressor (RFC 1952). The stream is divided into blocks of a fixed size that
//! are compressed independently. The block boundaries depend only on the bytes, so the result is
//! the same for any number of cores. The compressor is `miniz_oxide`, named here and not selected
//! by flate2's features, which any crate of the build can change. Faster compressors choose their
//! algorithm by the processor, so their output differs between machines.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, sync_channel};

use flate2::Crc;
use miniz_oxide::deflate::core::CompressorOxide;
use miniz_oxide::deflate::stream::deflate;
use miniz_oxide::{DataFormat, MZFlush, MZStatus};

/// The size of a block in bytes. A block cannot refer to the last 32 KiB of the block before it,
/// which costs less than one percent.
const BLOCK: usize = 1 << 20;
/// The compression level, gzip's default.
const LEVEL: u8 = 6;
/// The gzip header: method deflate, without flags, time, extra field and operating system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// A writer that compresses its input to `out`. The caller must call `finish`.
pub(super) struct Gzip<W: Write> {
    out: W,
    checksum: Crc,
    block: Vec<u8>,
    /// Blocks that are being compressed, in order.
    packing: VecDeque<Receiver<io::Result<Vec<u8>>>>,
}

impl<W: Write> Gzip<W> {
    /// Starts a stream and writes its header.
    pub(super) fn new(mut out: W) -> io::Result<Self> {
        out.write_all(&HEADER)?;
        Ok(Self {
            out,
            checksum: Crc::new(),
            block: Vec::new(),
            packing: VecDeque::new(),
        })
    }

    /// Writes the remaining blocks and the trailer.
    pub(super) fn finish(mut self) -> io::Result<W> {
        while let Some(packed) = self.packing.pop_front() {
            self.take(&packed)?;
        }
        self.out.write_all(&pack(&self.block, MZFlush::Finish)?)?;
        self.out.write_all(&self.checksum.sum().to_le_bytes())?;
        self.out.write_all(&self.checksum.amount().to_le_bytes())?;
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
            drop(sender.send(pack(&block, MZFlush::Sync)));
        });
        self.packing.push_back(packed);
        Ok(())
    }

    fn take(&mut self, packed: &Receiver<io::Result<Vec<u8>>>) -> io::Result<()> {
        let packed = packed
            .recv()
            .map_err(|_| io::Error::other("a compression thread has ended"))??;
        self.out.write_all(&packed)
    }
}

/// Compresses a block. `MZFlush::Sync` ends the output at a byte boundary, so that the next block
/// can follow.
fn pack(block: &[u8], flush: MZFlush) -> io::Result<Vec<u8>> {
    let mut packer = Box::<CompressorOxide>::default();
    packer.set_format_and_level(DataFormat::Raw, LEVEL);
    let mut packed = vec![0; block.len() / 2 + 64];
    let (mut taken, mut given) = (0, 0);
    loop {
        let result = deflate(&mut packer, &block[taken..], &mut packed[given..], flush);
        taken += result.bytes_consumed;
        given += result.bytes_written;
        let status = result
            .status
            .map_err(|error| io::Error::other(format!("deflate: {error:?}")))?;
        let ended = match flush {
            MZFlush::Finish => status == MZStatus::StreamEnd,
            // Free space in the output shows that no output is pending.
            _ => taken == block.len() && given < packed.len(),
        };
        if ended {
            packed.truncate(given);
            return Ok(packed);
        }
        packed.resize(packed.len() + block.len() / 2 + 64, 0);
    }
}

impl<W: Write> Write for Gzip<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.block.len() == BLOCK {
            self.submit_block()?;
        }
        let taken = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..taken]);
        self.checksum.update(&bytes[..taken]);
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
        let mut gzip = Gzip::new(Vec::new()).unwrap();
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
            let mut reader = flate2::bufread::GzDecoder::new(packed.as_slice());
            reader.read_to_end(&mut plain).unwrap();
            assert!(plain == bytes, "{length}");
            assert!(
                reader.into_inner().is_empty(),
                "{length}: one member, and nothing behind it"
            );
        }
    }

    #[test]
    fn the_compressed_bytes_are_the_same_on_every_machine() {
        let digest =
            |length| crate::reference::Digest::of(&packed(&bytes(length), 1 << 16)).to_string();
        assert_eq!(
            digest(100_000),
            "sha256:f7d62ab32cc29e29d6ca3e6dfe0f03ecf6f73047d3ee887d7976d251368ea932"
        );
        assert_eq!(
            digest(3 * BLOCK + 17),
            "sha256:0cf323c94813f66ce0d8a7621a3bfee970e7b6e8a8ccc7d5fa22fe453625b264"
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
