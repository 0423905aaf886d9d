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
use super::error::{Error, Kind};

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
    Part { source: &'a dyn BlobSource, offset: u64, length: u64 },
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
            Self::Empty => Ok((request, Progress::new(stall, stall))),
            Self::Bytes(bytes) => {
                let request = request.header(CONTENT_LENGTH, bytes.len()).body(bytes.to_vec());
                Ok((request, Progress::new(stall, stall * 2)))
            }
            Self::Part { source, offset, length } => {
                let progress = Progress::new(stall, stall * 4);
                let reader = source.open(*offset).await?.take(*length);
                let mark = progress.clone();
                let stream = ReaderStream::with_capacity(reader, PIECE).map(move |piece| {
                    if let Err(error) = &piece {
                        mark.fail(error);
                    }
                    mark.moved();
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
pub(super) struct Progress(Arc<Mutex<State>>);

struct State {
    last: Instant,
    limit: Duration,
    final_limit: Duration,
    failure: Option<String>,
}

impl Progress {
    fn new(limit: Duration, final_limit: Duration) -> Self {
        Self(Arc::new(Mutex::new(State { last: Instant::now(), limit, final_limit, failure: None })))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn moved(&self) {
        self.state().last = Instant::now();
    }

    fn fail(&self, error: &std::io::Error) {
        self.state().failure = Some(error.to_string());
    }

    /// How long nothing may move. Registries need time to store a finished upload before they answer.
    pub(super) fn limit(&self) -> Duration {
        let state = self.state();
        state.limit.max(state.final_limit)
    }

    /// The error of the body's own source, which the client shows as a broken connection.
    pub(super) fn failed(&self, method: &Method, shown: &str) -> Option<Error> {
        let failure = self.state().failure.take()?;
        Some(Error::new(
            Kind::Broken,
            method.as_str(),
            shown,
            format!("the content cannot be read: {failure}"),
        ))
    }

    /// The result of `work`, or none when nothing moved for too long.
    pub(super) async fn watch<F: Future>(&self, work: F) -> Option<F::Output> {
        tokio::pin!(work);
        loop {
            let deadline = self.state().last + self.limit();
            tokio::select! {
                result = &mut work => return Some(result),
                () = tokio::time::sleep_until(deadline) => {}
            }
            if self.state().last + self.limit() <= Instant::now() {
                return None;
            }
        }
    }
}
