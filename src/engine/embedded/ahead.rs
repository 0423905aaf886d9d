//! Reading ahead: a stream is read, and its digest reckoned, on one thread while another unpacks what has come.

use std::io::{self, Read};

use futures_util::StreamExt as _;
use hyper::body::Bytes;
use tokio::io::AsyncRead;
use tokio::sync::mpsc;
use tokio_util::io::ReaderStream;

/// How much is read at once.
const CHUNK: usize = 256 << 10;
/// How many chunks may wait.
const CHUNKS: usize = 4;

/// The reading end, for a thread that may block.
#[derive(Debug)]
pub(super) struct Ahead {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    chunk: Bytes,
}

/// Reads a stream from here on, as fast as it comes and somebody takes it; dropping the end stops that.
pub(super) fn read_ahead(stream: impl AsyncRead + Send + Unpin + 'static) -> Ahead {
    let (sender, chunks) = mpsc::channel(CHUNKS);
    drop(tokio::spawn(async move {
        let mut stream = ReaderStream::with_capacity(stream, CHUNK);
        while let Some(chunk) = stream.next().await {
            let failed = chunk.is_err();
            if sender.send(chunk).await.is_err() || failed {
                break;
            }
        }
    }));
    Ahead { chunks, chunk: Bytes::new() }
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.chunks.blocking_recv() {
                Some(chunk) => self.chunk = chunk?,
                None => return Ok(0),
            }
        }
        let length = self.chunk.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.chunk.split_to(length));
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_comes_and_so_does_an_error() {
        let bytes: Vec<u8> = (0..=255).cycle().take(CHUNK * (CHUNKS + 2) + 7).collect();
        let fails = tokio_util::io::StreamReader::new(futures_util::stream::iter([
            Ok(Bytes::from_static(b"some")),
            Err(io::Error::other("gone")),
        ]));
        let (mut whole, mut broken) = (read_ahead(io::Cursor::new(bytes.clone())), read_ahead(fails));
        let reading = tokio::task::spawn_blocking(move || {
            let mut read = Vec::new();
            whole.read_to_end(&mut read).unwrap();
            (read, io::read_to_string(&mut broken).unwrap_err().to_string())
        });
        assert_eq!(reading.await.unwrap(), (bytes, "gone".to_owned()));
    }
}
