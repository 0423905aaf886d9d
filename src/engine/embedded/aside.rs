//! A stream whose digest is reckoned on a thread of its own, beside whoever reads it: unpacking a layer and hashing
//! what comes out take about the same time.

use std::io::{self, Read};
use std::mem;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, Scope, ScopedJoinHandle};

use sha2::{Digest as _, Sha256};

use crate::reference::Digest;

/// How many bytes are read at once: enough that waking a thread costs little beside hashing them, and little enough
/// that they are still near the processor then.
const PIECE: usize = 128 << 10;
/// How many pieces may wait to be hashed.
const PIECES: usize = 4;

/// Passes a stream on and hashes it.
pub(super) struct Aside<'scope, R> {
    inner: R,
    /// What was read last, and how much of it was passed on.
    piece: Arc<Vec<u8>>,
    passed: usize,
    ended: bool,
    full: SyncSender<Arc<Vec<u8>>>,
    /// Pieces that were hashed, to be filled again.
    empty: Receiver<Arc<Vec<u8>>>,
    hashing: ScopedJoinHandle<'scope, Digest>,
}

impl<'scope, R: Read> Aside<'scope, R> {
    /// Starts the thread. It ends with this.
    pub(super) fn start(scope: &'scope Scope<'scope, '_>, inner: R) -> io::Result<Self> {
        let (full, pieces) = sync_channel::<Arc<Vec<u8>>>(PIECES);
        let (back, empty) = sync_channel(PIECES);
        let hashing = Builder::new()
            .name("digest".to_owned())
            .spawn_scoped(scope, move || {
                let mut hash = Sha256::new();
                for piece in pieces {
                    hash.update(piece.as_slice());
                    // Never waits: towards the end nobody fills it again.
                    drop(back.try_send(piece));
                }
                Digest::from_sha256(&hash.finalize())
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

    /// Reads the next piece; an empty one at the end.
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

    /// What was not read of the stream, and the digest of what was.
    pub(super) fn finish(self) -> io::Result<(R, Digest)> {
        drop(self.full);
        Ok((self.inner, self.hashing.join().map_err(|_| stopped())?))
    }
}

impl<R: Read> Read for Aside<'_, R> {
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
    io::Error::other("the thread that hashes has ended")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_passed_on_and_hashed() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 40 * PIECE + 7] {
            let bytes: Vec<u8> = (0..=255).cycle().take(length).collect();
            let (passed, digest) = std::thread::scope(|scope| {
                let mut aside = Aside::start(scope, bytes.as_slice()).unwrap();
                let mut passed = Vec::new();
                aside.read_to_end(&mut passed).unwrap();
                (passed, aside.finish().unwrap().1)
            });
            assert!(passed == bytes, "{length}");
            assert_eq!(digest, Digest::of(&bytes), "{length}");
        }
    }

    #[test]
    fn an_error_ends_it() {
        let broken = b"some"
            .chain(io::Cursor::new(vec![0; 3 * PIECE]))
            .chain(Broken);
        let error = std::thread::scope(|scope| {
            Aside::start(scope, broken)
                .unwrap()
                .read_to_end(&mut Vec::new())
                .unwrap_err()
        });
        assert_eq!(error.to_string(), "gone");
    }

    struct Broken;

    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("gone"))
        }
    }
}
