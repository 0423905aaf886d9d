//! gzip (RFC 1952), packed side by side. The stream is cut into blocks of a fixed size, each of which is packed by
//! itself; where one ends depends on nothing but the bytes, so that the result is the same on one core and on many.
//! The packer is named here, not left to flate2, which takes what any crate of the build asks for: faster ones choose
//! their way by the processor, and what they write differs from machine to machine.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, sync_channel};

use flate2::Crc;
use miniz_oxide::deflate::core::CompressorOxide;
use miniz_oxide::deflate::stream::deflate;
use miniz_oxide::{DataFormat, MZFlush, MZStatus};

/// What is packed by itself, in bytes. What a block cannot borrow from the one before it, some of the 32 KiB that
/// deflate looks back, costs less than one in a hundred.
const BLOCK: usize = 1 << 20;
/// The level, gzip's own default.
const LEVEL: u8 = 6;
/// The header: deflate, no flags, no time, no extra, no system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// Packs what it takes into `out`. It has to be finished.
pub(super) struct Gzip<W: Write> {
    out: W,
    checksum: Crc,
    block: Vec<u8>,
    /// Blocks on their way, in order.
    packing: VecDeque<Receiver<io::Result<Vec<u8>>>>,
}

impl<W: Write> Gzip<W> {
    /// Begins a stream.
    pub(super) fn new(mut out: W) -> io::Result<Self> {
        out.write_all(&HEADER)?;
        Ok(Self {
            out,
            checksum: Crc::new(),
            block: Vec::new(),
            packing: VecDeque::new(),
        })
    }

    /// Ends the stream.
    pub(super) fn finish(mut self) -> io::Result<W> {
        while let Some(packed) = self.packing.pop_front() {
            self.take(&packed)?;
        }
        self.out.write_all(&pack(&self.block, MZFlush::Finish)?)?;
        self.out.write_all(&self.checksum.sum().to_le_bytes())?;
        self.out.write_all(&self.checksum.amount().to_le_bytes())?;
        Ok(self.out)
    }

    /// Hands a full block to whoever has time.
    fn hand_over(&mut self) -> io::Result<()> {
        // Few wait: memory stays flat however large a layer is.
        if self.packing.len() > rayon::current_num_threads()
            && let Some(packed) = self.packing.pop_front()
        {
            self.take(&packed)?;
        }
        let block = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK));
        let (sender, packed) = sync_channel(1);
        rayon::spawn(move || {
            // Nobody waits for it when the layer was given up.
            drop(sender.send(pack(&block, MZFlush::Sync)));
        });
        self.packing.push_back(packed);
        Ok(())
    }

    fn take(&mut self, packed: &Receiver<io::Result<Vec<u8>>>) -> io::Result<()> {
        let packed = packed
            .recv()
            .map_err(|_| io::Error::other("a thread that packs has ended"))??;
        self.out.write_all(&packed)
    }
}

/// Packs a block. A flush leaves it at a whole byte, for the next one to follow.
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
            // Room that is left says that nothing is held back.
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
            self.hand_over()?;
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

    /// Bytes of which some repeat and some do not.
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
    fn what_was_packed_is_unpacked_whatever_its_length() {
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
    fn the_bytes_are_these_on_every_machine() {
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
    fn what_does_not_pack_grows_by_little() {
        let mut random = fastrand::Rng::with_seed(2);
        let noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
            .take(2 * BLOCK + 5)
            .collect();
        assert!(packed(&noise, 1 << 16).len() < noise.len() + noise.len() / 1000);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn the_bytes_do_not_depend_on_how_they_come(length in 0..3 * BLOCK, piece in 1..2 * BLOCK) {
            let bytes = bytes(length);
            prop_assert!(packed(&bytes, piece) == packed(&bytes, 1 << 20));
        }
    }
}
