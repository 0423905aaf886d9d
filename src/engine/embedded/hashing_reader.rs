//! A reader that hashes its stream on a second thread. Unpacking a layer and hashing its content
//! take about the same time, so both run in parallel.

use std::io::{self, Read};
use std::mem;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, Scope, ScopedJoinHandle};

use crate::reference::{Digest, Hasher};

/// The bytes that are read at once: large enough that waking a thread costs little compared to
/// hashing, and small enough to stay in the CPU cache.
const PIECE: usize = 128 << 10;
/// The number of pieces that can wait for the hashing thread.
const PIECES: usize = 4;

/// Returns the bytes of a stream and hashes them.
pub(super) struct HashingReader<'scope, R> {
    inner: R,
    /// The current piece.
    piece: Arc<Vec<u8>>,
    /// The bytes of the current piece that the caller has already read.
    passed: usize,
    ended: bool,
    full: SyncSender<Arc<Vec<u8>>>,
    /// Buffers of hashed pieces, for reuse.
    empty: Receiver<Arc<Vec<u8>>>,
    hashing: ScopedJoinHandle<'scope, Digest>,
}

impl<'scope, R: Read> HashingReader<'scope, R> {
    /// Starts the thread, which ends when the reader is dropped. Fails if no thread can be started.
    pub(super) fn start(scope: &'scope Scope<'scope, '_>, inner: R) -> io::Result<Self> {
        let (full, pieces) = sync_channel::<Arc<Vec<u8>>>(PIECES);
        let (back, empty) = sync_channel(PIECES);
        let hashing = Builder::new()
            .name("digest".to_owned())
            .spawn_scoped(scope, move || {
                let mut hash = Hasher::sha256();
                for piece in pieces {
                    hash.update(piece.as_slice());
                    // Does not wait: at the end of the stream, no buffer is reused.
                    drop(back.try_send(piece));
                }
                hash.finish()
            })?;
        Ok(Self {
            inner,
            piece: Arc::default(),
            passed: 0,
            ended: false,
            full,
            empty,
            hashing,
        })
    }

    /// Reads the next piece. It is empty at the end of the stream.
    fn advance(&mut self) -> io::Result<()> {
        let used = mem::take(&mut self.piece);
        let free = self.empty.try_recv().ok().and_then(Arc::into_inner);
        let mut piece = free.or_else(|| Arc::into_inner(used)).unwrap_or_default();
        piece.clear();
        (&mut self.inner)
            .take(PIECE as u64)
            .read_to_end(&mut piece)?;
        self.ended = piece.len() < PIECE;
        self.passed = 0;
        self.piece = Arc::new(piece);
        self.full
            .send(Arc::clone(&self.piece))
            .map_err(|_| stopped())
    }

    /// Returns the rest of the stream, and the digest of the part that was read.
    pub(super) fn finish(self) -> io::Result<(R, Digest)> {
        drop(self.full);
        Ok((self.inner, self.hashing.join().map_err(|_| stopped())?))
    }
}

impl<R: Read> Read for HashingReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.passed == self.piece.len() && !self.ended {
            self.advance()?;
        }
        let left = &self.piece[self.passed..];
        let length = left.len().min(buffer.len());
        buffer[..length].copy_from_slice(&left[..length]);
        self.passed += length;
        Ok(length)
    }
}

fn stopped() -> io::Error {
    io::Error::other("the hashing thread has ended")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_are_returned_and_hashed() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 40 * PIECE + 7] {
            let bytes: Vec<u8> = (0..=255).cycle().take(length).collect();
            let (passed, digest) = std::thread::scope(|scope| {
                let mut reader = HashingReader::start(scope, bytes.as_slice()).unwrap();
                let mut passed = Vec::new();
                reader.read_to_end(&mut passed).unwrap();
                (passed, reader.finish().unwrap().1)
            });
            assert!(passed == bytes, "{length}");
            assert_eq!(digest, Digest::of(&bytes), "{length}");
        }
    }

    #[test]
    fn an_error_of_the_stream_is_returned() {
        let broken = b"some"
            .chain(io::Cursor::new(vec![0; 3 * PIECE]))
            .chain(BrokenReader);
        let error = std::thread::scope(|scope| {
            HashingReader::start(scope, broken)
                .unwrap()
                .read_to_end(&mut Vec::new())
                .unwrap_err()
        });
        assert_eq!(error.to_string(), "gone");
    }

    struct BrokenReader;

    impl Read for BrokenReader {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("gone"))
        }
    }
}
