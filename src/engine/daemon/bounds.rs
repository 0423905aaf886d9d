//! Bounds of what an engine sends over a connection: how long, how much, and how long nothing. Without them an engine that
//! sends a byte now and then, or without end, would hold golden forever.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::dial::Duplex;

/// How long an engine may take, as a whole or while nothing moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// From a question to the end of its answer.
    pub answer: Duration,
    /// Of a build, a pull, a push, a load or an export: while nothing is sent in either direction. A step may compile for
    /// long without a word.
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

/// What is asked of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum RequestKind {
    /// A question that is answered at once.
    Question,
    /// A build, a pull, a push or a load, which tells how far it is.
    Task,
    /// The archive of an image.
    Archive,
    /// A connection over which the engine asks back, for as long as a build takes.
    Session,
}

impl RequestKind {
    /// What a request to a path of Docker's API is.
    pub(in crate::engine) fn of(path: &str) -> Self {
        let images = path.contains("/images/");
        match path.rsplit('/').next() {
            Some("session") => Self::Session,
            Some("build") => Self::Task,
            Some("create" | "load" | "push") if images => Self::Task,
            Some("get") if images => Self::Archive,
            _ => Self::Question,
        }
    }

    /// The most bytes that the engine may send.
    const fn length(self) -> u64 {
        match self {
            Self::Question => 16 << 20,
            Self::Task => 512 << 20,
            Self::Archive => 256 << 30,
            Self::Session => u64::MAX,
        }
    }
}

/// The reason for which a connection was ended last. Clients lose it: of a body that ends early, they only report that.
pub(in crate::engine) type LastRefusal = Arc<Mutex<Option<io::Error>>>;

/// A connection that ends at its bounds.
pub(in crate::engine) struct BoundedStream<S> {
    inner: S,
    kind: RequestKind,
    timeouts: Timeouts,
    received: u64,
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
            RequestKind::Task | RequestKind::Archive => Some(timeouts.silence),
            RequestKind::Session => None,
        };
        Self {
            inner,
            kind,
            timeouts,
            received: 0,
            alarm: time.map(|time| Box::pin(tokio::time::sleep(time))),
            last,
        }
    }

    /// Something was sent: only silence is waited for no longer.
    fn moved(&mut self) {
        if let (RequestKind::Task | RequestKind::Archive, Some(alarm)) =
            (self.kind, &mut self.alarm)
        {
            alarm.as_mut().reset(Instant::now() + self.timeouts.silence);
        }
    }

    /// Why the connection ends now.
    fn refusal(&mut self, context: &mut Context<'_>) -> Option<io::Error> {
        if self.received > self.kind.length() {
            let words = format!("it sent more than {} MiB", self.kind.length() >> 20);
            return Some(io::Error::new(io::ErrorKind::FileTooLarge, words));
        }
        let alarm = self.alarm.as_mut()?;
        alarm.as_mut().poll(context).is_ready().then(|| {
            let words = match self.kind {
                RequestKind::Question => format!(
                    "its answer did not end within {} s",
                    self.timeouts.answer.as_secs_f32()
                ),
                _ => format!(
                    "it sent nothing for {} s",
                    self.timeouts.silence.as_secs_f32()
                ),
            };
            io::Error::new(io::ErrorKind::TimedOut, words)
        })
    }
}

impl<S: Duplex> AsyncRead for BoundedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(error) = self.refusal(context) {
            let copy = io::Error::new(error.kind(), error.to_string());
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(copy);
            return Poll::Ready(Err(error));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(context, buffer);
        let length = buffer.filled().len() - before;
        if length > 0 {
            self.received += length as u64;
            self.moved();
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
            self.moved();
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
        answer: Duration::from_millis(300),
        silence: Duration::from_millis(200),
    };

    /// What is read of an engine that sends a byte each 50 ms, so many times, and then nothing.
    async fn read(kind: RequestKind, times: usize) -> io::Result<usize> {
        let (near, mut far) = duplex(10);
        let sending = tokio::spawn(async move {
            for _ in 0..times {
                tokio::time::sleep(Duration::from_millis(50)).await;
                drop(far.write_all(b"x").await);
            }
            std::future::pending::<()>().await;
        });
        let mut bounded = BoundedStream::new(near, kind, TIMEOUTS, LastRefusal::default());
        let mut bytes = Vec::new();
        let result = bounded.read_to_end(&mut bytes).await;
        sending.abort();
        result
            .map(|_| bytes.len())
            .map_err(|error| io::Error::other(format!("{}: {error}", bytes.len())))
    }

    #[tokio::test]
    async fn a_question_has_a_deadline_and_a_task_may_not_be_silent() {
        let error = read(RequestKind::Question, 1000)
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.ends_with(": its answer did not end within 0.3 s"),
            "{error}"
        );
        let error = read(RequestKind::Task, 20).await.unwrap_err().to_string();
        assert_eq!(error, "20: it sent nothing for 0.2 s");
        let error = read(RequestKind::Archive, 0).await.unwrap_err().to_string();
        assert_eq!(error, "0: it sent nothing for 0.2 s");
    }

    #[tokio::test]
    async fn an_answer_has_an_end() {
        let (near, mut far) = duplex(1 << 20);
        let sending =
            tokio::spawn(async move { while far.write_all(&[b'x'; 1 << 16]).await.is_ok() {} });
        let timeouts = Timeouts {
            answer: Duration::from_mins(1),
            ..TIMEOUTS
        };
        let mut bounded = BoundedStream::new(
            near,
            RequestKind::Question,
            timeouts,
            LastRefusal::default(),
        );
        let read = tokio::io::copy(&mut bounded, &mut tokio::io::sink()).await;
        assert_eq!(read.unwrap_err().to_string(), "it sent more than 16 MiB");
        sending.abort();
    }

    #[test]
    fn requests_are_known_by_their_paths() {
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
        ] {
            assert_eq!(RequestKind::of(path), kind, "{path}");
        }
    }
}
