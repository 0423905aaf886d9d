//! Request bodies, and the detection of an exchange in which no data moves.

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

/// The size of the chunks that are read and sent, in bytes.
const CHUNK: usize = 64 * 1024;

/// The body of a request. Every kind can be sent again.
#[derive(Clone, Copy)]
pub(super) enum Payload<'a> {
    Empty,
    Bytes(&'a [u8]),
    Part {
        source: &'a dyn BlobSource,
        offset: u64,
        length: u64,
    },
}

impl Payload<'_> {
    /// Adds the body to a request. Returns the progress of sending it.
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
                let sender = progress.clone();
                let mut left = *length;
                let stream = ReaderStream::with_capacity(reader, CHUNK).map(move |chunk| {
                    match &chunk {
                        Ok(chunk) => left -= chunk.len() as u64,
                        Err(error) => sender.fail(error),
                    }
                    sender.moved();
                    if left == 0 {
                        // Registries need time to store a finished upload before they respond.
                        sender.wait_longer(stall * 4);
                    }
                    chunk
                });
                let body = reqwest::Body::wrap_stream(stream);
                Ok((request.header(CONTENT_LENGTH, *length).body(body), progress))
            }
        }
    }
}

/// The time at which data last moved.
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

    /// The maximum time without any data.
    pub(super) fn limit(&self) -> Duration {
        self.state().limit
    }

    /// The time at which the exchange counts as stalled.
    fn deadline(&self) -> Instant {
        let state = self.state();
        state.last + state.limit
    }

    /// The error of the body's source; the HTTP client only reports a broken connection.
    pub(super) fn failed(&self, method: &Method, shown: &str) -> Option<Error> {
        let failure = self.state().failure.take()?;
        Some(Error::new(
            FailureKind::Broken,
            method.as_str(),
            shown,
            format!("the content cannot be read: {failure}"),
        ))
    }

    /// Returns the result of `work`, or `None` if no data moved for too long.
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
