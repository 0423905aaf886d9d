//! Receives a blob on one thread while another one unpacks it. Receiving and hashing the compressed
//! bytes takes about as long as unpacking them and hashing the files.

use std::io::{self, Read};

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::mpsc::{Receiver, channel};

/// The bytes that are passed at once: large enough that waking a thread costs little compared to
/// hashing, and small enough to stay in the CPU cache.
const PIECE: usize = 256 << 10;
/// The number of pieces that can wait.
const PIECES: usize = 4;

/// The reader of a stream that is received in the background.
#[derive(Debug)]
pub(super) struct ReadAhead {
    /// The pieces. The last one is empty.
    pieces: Receiver<io::Result<Vec<u8>>>,
    /// The current piece.
    piece: Vec<u8>,
    /// The bytes of the current piece that the caller has already read.
    passed: usize,
    is_ended: bool,
}

impl ReadAhead {
    /// Starts to receive in a task of the current runtime, which ends when the reader is dropped.
    /// The reader must be used on a thread that can wait.
    pub(super) fn start(mut stream: impl AsyncRead + Send + Unpin + 'static) -> Self {
        let (sender, pieces) = channel(PIECES);
        tokio::spawn(async move {
            loop {
                let mut piece = Vec::with_capacity(PIECE);
                let mut part = (&mut stream).take(PIECE as u64);
                let received = part.read_to_end(&mut piece).await;
                let is_last = !received.as_ref().is_ok_and(|length| *length > 0);
                // Fails if the reader was dropped.
                let sent = sender.send(received.map(|_| piece)).await;
                if is_last || sent.is_err() {
                    return;
                }
            }
        });
        Self {
            pieces,
            piece: Vec::new(),
            passed: 0,
            is_ended: false,
        }
    }
}

impl Read for ReadAhead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.passed == self.piece.len() && !self.is_ended {
            let piece = self.pieces.blocking_recv();
            self.piece = piece.ok_or_else(|| io::Error::other("the reading task has ended"))??;
            self.passed = 0;
            self.is_ended = self.piece.is_empty();
        }
        let left = &self.piece[self.passed..];
        let length = left.len().min(buffer.len());
        buffer[..length].copy_from_slice(&left[..length]);
        self.passed += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::{Arc, Weak};
    use std::task::{Context, Poll};
    use std::time::Duration;

    use tokio::io::ReadBuf;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn all_bytes_are_returned_in_their_order() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 20 * PIECE + 7] {
            let bytes: Vec<u8> = (0..=250).cycle().take(length).collect();
            let mut reader = ReadAhead::start(io::Cursor::new(bytes.clone()));
            let read = tokio::task::spawn_blocking(move || {
                let mut read = Vec::new();
                reader.read_to_end(&mut read).unwrap();
                assert_eq!(reader.read(&mut [0]).unwrap(), 0);
                read
            });
            assert!(read.await.unwrap() == bytes, "{length}");
        }
    }

    #[tokio::test]
    async fn an_error_of_the_stream_is_returned() {
        let stream = tokio::io::AsyncReadExt::chain(io::Cursor::new(vec![0; 3 * PIECE]), Broken);
        let mut reader = ReadAhead::start(stream);
        let read = move || reader.read_to_end(&mut Vec::new()).unwrap_err();
        let error = tokio::task::spawn_blocking(read).await.unwrap();
        assert_eq!(error.to_string(), "gone");
    }

    #[test]
    fn an_end_of_the_task_is_no_end_of_the_stream() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let guard = runtime.enter();
        let mut reader = ReadAhead::start(tokio::io::empty());
        drop(guard);
        drop(runtime);
        let error = reader.read(&mut [0]).unwrap_err();
        assert_eq!(error.to_string(), "the reading task has ended");
    }

    struct Broken;

    impl AsyncRead for Broken {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Ready(Err(io::Error::other("gone")))
        }
    }

    /// A connection to a registry is not kept open longer than it is needed.
    #[tokio::test]
    async fn the_stream_is_dropped_at_its_end_or_with_its_reader() {
        let is_dropped = async |opened: Weak<()>| {
            let dropped = async {
                while opened.strong_count() > 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            timeout(Duration::from_secs(5), dropped).await.is_ok()
        };
        let open = Arc::new(());
        let opened = Arc::downgrade(&open);
        let mut reader = ReadAhead::start(MarkedStream(tokio::io::empty(), open));
        let read = move || {
            reader.read_to_end(&mut Vec::new()).unwrap();
            reader
        };
        let reader = tokio::task::spawn_blocking(read).await.unwrap();
        assert!(is_dropped(opened).await, "at the end");
        drop(reader);
        let open = Arc::new(());
        let opened = Arc::downgrade(&open);
        drop(ReadAhead::start(MarkedStream(tokio::io::repeat(1), open)));
        assert!(is_dropped(opened).await, "with the reader");
    }

    /// A stream, with a mark that is dropped with it.
    struct MarkedStream<S>(
        S,
        #[expect(dead_code, reason = "it is only dropped")] Arc<()>,
    );

    impl<S: AsyncRead + Unpin> AsyncRead for MarkedStream<S> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_read(context, buffer)
        }
    }
}
