//! Limits for a connection to an engine: its duration, the bytes that it receives, and the time
//! without data. Without them, an engine that sends very slowly, or without end, would block golden
//! forever.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::dial::Duplex;
use super::parsing::ParsingWork;

/// The time limits of requests to an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a query: the time from the request to the end of the response.
    pub answer: Duration,
    /// For a build, a pull, a push, a load or an export: the time without data in either direction.
    /// It is long, because a step may compile without any output.
    pub silence: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            answer: Duration::from_mins(1),
            silence: Duration::from_hours(2),
        }
    }
}

/// The kind of a request to an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum RequestKind {
    /// A query that the engine answers immediately.
    Question,
    /// A build, a pull, a push or a load, which reports its progress.
    Task,
    /// The archive of an image.
    Archive,
    /// The output of a container.
    Output,
    /// A connection on which the engine sends requests to golden, for the duration of a build.
    Session,
}

impl RequestKind {
    /// The kind of a request to this path of Docker's API.
    pub(in crate::engine) fn of(path: &str) -> Self {
        let images = path.contains("/images/");
        let containers = path.contains("/containers/");
        match path.rsplit('/').next() {
            Some("session") => Self::Session,
            Some("build" | "commit") => Self::Task,
            Some("create" | "load" | "push") if images => Self::Task,
            Some("wait") if containers => Self::Task,
            Some("attach") if containers => Self::Output,
            Some("get") if images => Self::Archive,
            _ => Self::Question,
        }
    }

    /// The maximum number of bytes that the engine may send.
    const fn max_bytes(self) -> u64 {
        match self {
            Self::Question => 16 << 20,
            Self::Task | Self::Output => 512 << 20,
            Self::Archive => 256 << 30,
            Self::Session => u64::MAX,
        }
    }
}

/// The reason why golden last closed a connection. HTTP clients do not pass it on: they only report
/// that the body ended early.
pub(in crate::engine) type LastRefusal = Arc<Mutex<Option<io::Error>>>;

/// A connection that fails when it exceeds a limit.
pub(in crate::engine) struct BoundedStream<S> {
    inner: S,
    kind: RequestKind,
    timeouts: Timeouts,
    received: u64,
    /// For a task: the work of parsing its progress.
    parsing: ParsingWork,
    alarm: Option<Pin<Box<Sleep>>>,
    last: LastRefusal,
}

impl<S: Duplex> BoundedStream<S> {
    pub(in crate::engine) fn new(
        inner: S,
        kind: RequestKind,
        timeouts: Timeouts,
        last: LastRefusal,
    ) -> Self {
        let time = match kind {
            RequestKind::Question => Some(timeouts.answer),
            RequestKind::Task | RequestKind::Archive | RequestKind::Output => {
                Some(timeouts.silence)
            }
            RequestKind::Session => None,
        };
        Self {
            inner,
            kind,
            timeouts,
            received: 0,
            parsing: ParsingWork::default(),
            alarm: time.map(|time| Box::pin(tokio::time::sleep(time))),
            last,
        }
    }

    /// Restarts the time limit of a task after data was sent or received.
    fn restart_alarm(&mut self) {
        let is_long = !matches!(self.kind, RequestKind::Question | RequestKind::Session);
        if let (true, Some(alarm)) = (is_long, &mut self.alarm) {
            alarm.as_mut().reset(Instant::now() + self.timeouts.silence);
        }
    }

    /// The error if a limit is exceeded.
    fn exceeded_limit(&mut self, context: &mut Context<'_>) -> Option<io::Error> {
        if self.received > self.kind.max_bytes() {
            let message = format!("it sent more than {} MiB", self.kind.max_bytes() >> 20);
            return Some(io::Error::new(io::ErrorKind::FileTooLarge, message));
        }
        if let Some(message) = self.parsing.exceeded() {
            return Some(io::Error::new(io::ErrorKind::FileTooLarge, message));
        }
        let alarm = self.alarm.as_mut()?;
        alarm.as_mut().poll(context).is_ready().then(|| {
            let message = match self.kind {
                RequestKind::Question => format!(
                    "the response was not complete within {} s",
                    self.timeouts.answer.as_secs_f32()
                ),
                _ => format!(
                    "it sent nothing for {} s",
                    self.timeouts.silence.as_secs_f32()
                ),
            };
            io::Error::new(io::ErrorKind::TimedOut, message)
        })
    }
}

impl<S: Duplex> AsyncRead for BoundedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(error) = self.exceeded_limit(context) {
            let copy = io::Error::new(error.kind(), error.to_string());
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(copy);
            return Poll::Ready(Err(error));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(context, buffer);
        let length = buffer.filled().len() - before;
        if length > 0 {
            self.received += length as u64;
            if self.kind == RequestKind::Task {
                self.parsing.add(&buffer.filled()[before..]);
            }
            self.restart_alarm();
        }
        read
    }
}

impl<S: Duplex> AsyncWrite for BoundedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.restart_alarm();
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const TIMEOUTS: Timeouts = Timeouts {
        answer: Duration::from_millis(1200),
        silence: Duration::from_secs(1),
    };

    /// Reads from an engine that sends a byte every 50 ms, `times` times, and then nothing. Returns
    /// the number of bytes.
    async fn read(kind: RequestKind, times: usize) -> io::Result<usize> {
        let (client, mut engine) = duplex(10);
        let sending = tokio::spawn(async move {
            for _ in 0..times {
                tokio::time::sleep(Duration::from_millis(50)).await;
                drop(engine.write_all(b"x").await);
            }
            std::future::pending::<()>().await;
        });
        let mut bounded = BoundedStream::new(client, kind, TIMEOUTS, LastRefusal::default());
        let mut bytes = Vec::new();
        let result = bounded.read_to_end(&mut bytes).await;
        sending.abort();
        result
            .map(|_| bytes.len())
            .map_err(|error| io::Error::other(format!("{}: {error}", bytes.len())))
    }

    #[tokio::test]
    async fn a_query_has_a_deadline_and_a_task_fails_after_silence() {
        let error = read(RequestKind::Question, 1000)
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.ends_with(": the response was not complete within 1.2 s"),
            "{error}"
        );
        let error = read(RequestKind::Task, 30).await.unwrap_err().to_string();
        assert_eq!(error, "30: it sent nothing for 1 s");
        let error = read(RequestKind::Archive, 0).await.unwrap_err().to_string();
        assert_eq!(error, "0: it sent nothing for 1 s");
    }

    /// The error when an engine sends these bytes without end.
    async fn endless(kind: RequestKind, piece: Vec<u8>) -> String {
        let (client, mut engine) = duplex(1 << 20);
        let sending = tokio::spawn(async move { while engine.write_all(&piece).await.is_ok() {} });
        let timeouts = Timeouts {
            answer: Duration::from_mins(1),
            silence: Duration::from_mins(1),
        };
        let mut bounded = BoundedStream::new(client, kind, timeouts, LastRefusal::default());
        let read = tokio::io::copy(&mut bounded, &mut tokio::io::sink()).await;
        sending.abort();
        read.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn an_answer_over_the_size_limit_is_an_error() {
        let error = endless(RequestKind::Question, vec![b'x'; 1 << 16]).await;
        assert_eq!(error, "it sent more than 16 MiB");
        let head = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        let whole = [head.clone(), vec![b'['; 1 << 9], vec![b']'; 1 << 9]].concat();
        let error = endless(RequestKind::Task, whole).await;
        assert_eq!(error, "it sent more than 512 MiB");
        let error = endless(RequestKind::Task, [head, vec![b'x'; 1 << 16]].concat()).await;
        assert_eq!(error, "it sent a JSON text of more than 4 MiB");
    }

    #[test]
    fn the_path_determines_the_kind_of_request() {
        for (path, kind) in [
            ("/version", RequestKind::Question),
            ("/v1.41/images/build/json", RequestKind::Question),
            ("/v1.41/images/a/push/tag", RequestKind::Question),
            ("/images/load/json", RequestKind::Question),
            ("/v1.41/build", RequestKind::Task),
            ("/images/create", RequestKind::Task),
            ("/v1.41/images/load", RequestKind::Task),
            ("/v1.41/images/localhost:5000/a/push", RequestKind::Task),
            ("/images/sha256:1/get", RequestKind::Archive),
            ("/images/get", RequestKind::Archive),
            ("/session", RequestKind::Session),
            ("/v1.41/containers/a/attach", RequestKind::Output),
            ("/v1.41/containers/a/wait", RequestKind::Task),
            ("/v1.41/commit", RequestKind::Task),
        ] {
            assert_eq!(RequestKind::of(path), kind, "{path}");
        }
    }
}
