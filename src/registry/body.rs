//! What a request carries, and the watch over an exchange in which nothing moves.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::{Method, RequestBuilder};
use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;
use tokio_util::io::ReaderStream;

use super::BlobSource;
use super::error::{Error, FailureKind};

/// The size of a piece that is read and sent at once.
const PIECE: usize = 64 * 1024;

/// The body of a request. Every kind can be sent again.
#[derive(Clone, Copy)]
pub(super) enum Payload<'a> {
    /// None.
    Empty,
    /// Bytes in memory.
    Bytes(&'a [u8]),
    /// A part of a blob.
    Part {
        source: &'a dyn BlobSource,
        offset: u64,
        length: u64,
    },
}

impl Payload<'_> {
    /// Puts the body on a request, and gives the watch over its sending.
    pub(super) async fn attach(
        &self,
        request: RequestBuilder,
        stall: Duration,
    ) -> std::io::Result<(RequestBuilder, Progress)> {
        use reqwest::header::CONTENT_LENGTH;
        match self {
            Self::Empty => Ok((request, Progress::new(stall))),
            Self::Bytes(bytes) => {
                let request = request
                    .header(CONTENT_LENGTH, bytes.len())
                    .body(bytes.to_vec());
                Ok((request, Progress::new(stall)))
            }
            Self::Part {
                source,
                offset,
                length,
            } => {
                let progress = Progress::new(stall);
                let reader = source.open(*offset).await?.take(*length);
                let mark = progress.clone();
                let mut left = *length;
                let stream = ReaderStream::with_capacity(reader, PIECE).map(move |piece| {
                    match &piece {
                        Ok(piece) => left -= piece.len() as u64,
                        Err(error) => mark.fail(error),
                    }
                    mark.moved();
                    if left == 0 {
                        // Registries need time to store a finished upload before they answer.
                        mark.wait_longer(stall * 4);
                    }
                    piece
                });
                let body = reqwest::Body::wrap_stream(stream);
                Ok((request.header(CONTENT_LENGTH, *length).body(body), progress))
            }
        }
    }
}

/// When something last moved.
#[derive(Clone)]
pub(super) struct Progress(Arc<Mutex<ProgressState>>);

struct ProgressState {
    last: Instant,
    limit: Duration,
    failure: Option<String>,
}

impl Progress {
    fn new(limit: Duration) -> Self {
        Self(Arc::new(Mutex::new(ProgressState {
            last: Instant::now(),
            limit,
            failure: None,
        })))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, ProgressState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn moved(&self) {
        self.state().last = Instant::now();
    }

    fn wait_longer(&self, limit: Duration) {
        self.state().limit = limit;
    }

    fn fail(&self, error: &std::io::Error) {
        self.state().failure = Some(error.to_string());
    }

    /// How long nothing may move.
    pub(super) fn limit(&self) -> Duration {
        self.state().limit
    }

    /// When it has been too long.
    fn deadline(&self) -> Instant {
        let state = self.state();
        state.last + state.limit
    }

    /// The error of the body's own source, which the client shows as a broken connection.
    pub(super) fn failed(&self, method: &Method, shown: &str) -> Option<Error> {
        let failure = self.state().failure.take()?;
        Some(Error::new(
            FailureKind::Broken,
            method.as_str(),
            shown,
            format!("the content cannot be read: {failure}"),
        ))
    }

    /// The result of `work`, or none when nothing moved for too long.
    pub(super) async fn watch<F: Future>(&self, work: F) -> Option<F::Output> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                result = &mut work => return Some(result),
                () = tokio::time::sleep_until(self.deadline()) => {}
            }
            if self.deadline() <= Instant::now() {
                return None;
            }
        }
    }
}
