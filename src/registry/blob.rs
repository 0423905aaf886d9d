//! Blobs: existence checks, and reads that verify the digest.

use std::io;
use std::time::Instant;

use futures_util::stream;
use reqwest::header::RANGE;
use reqwest::{Method, Response, StatusCode};
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;

use super::error::{Error, FailureKind};
use super::exchange::{Call, Pace};
use super::retry::{Attempts, Retry};
use super::{BlobSource, Registry, Repo, http};
use crate::oci::{Bytes, Descriptor};
use crate::reference::{Digest, Hasher};
use crate::secret::redact_url;

impl Repo {
    /// True if the repository has the blob, checked with a HEAD request.
    pub async fn has_blob(&self, digest: &Digest) -> Result<bool, Error> {
        let call = self.blob_call(Method::HEAD, digest)?;
        let response = self.registry.call(&call).await?;
        match response.status() {
            status if status.is_success() => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(call.refuse(response).await),
        }
    }

    /// Reads a small blob, such as a config, into memory and verifies its digest. Fails if it is
    /// larger than `limit` bytes.
    pub async fn blob(&self, descriptor: &Descriptor, limit: u64) -> Result<Bytes, Error> {
        let call = self.blob_call(Method::GET, &descriptor.digest)?;
        let error =
            |kind, message: String| Error::new(kind, "GET", &redact_url(&call.url), message);
        if descriptor.size > limit {
            let message = format!(
                "the size is {} bytes; the limit is {limit} bytes",
                descriptor.size
            );
            return Err(error(FailureKind::TooLarge, message));
        }
        let mut attempts = Attempts::new(self.registry.inner.env.retry_policy);
        loop {
            let fetched = self
                .registry
                .fetch(&call, usize::try_from(limit).unwrap_or(usize::MAX))
                .await?;
            if descriptor.digest.is_of(&fetched.body) {
                return Ok(fetched.body.into());
            }
            let mismatch = error(
                FailureKind::Digest,
                format!("the content does not have the digest {}", descriptor.digest),
            );
            // Corruption in transit may not recur; corrupted storage will.
            attempts.again(mismatch, Retry::Always).await?;
        }
    }

    /// Reads a blob as a stream, from `offset`. If the connection breaks, it reconnects and continues
    /// at the current offset. The stream fails at its end if the size differs from the descriptor,
    /// or the digest of the whole blob. A partial stream is not hashed: the caller that joins the
    /// parts must verify the digest.
    pub async fn read(
        &self,
        descriptor: &Descriptor,
        offset: u64,
    ) -> Result<Box<dyn AsyncRead + Send + Unpin>, Error> {
        let mut reading = BlobReading {
            registry: self.registry.clone(),
            call: self.blob_call(Method::GET, &descriptor.digest)?,
            descriptor: descriptor.clone(),
            offset,
            response: None,
            pace: Pace::new(self.registry.inner.http.stall()),
            hasher: (offset == 0).then(|| Hasher::of(&descriptor.digest)),
            attempts: Attempts::new(self.registry.inner.env.retry_policy),
        };
        reading.connect().await?;
        let chunks = stream::try_unfold(reading, |mut reading| async move {
            let chunk = reading.next().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>(chunk.map(|chunk| (chunk, reading)))
        });
        Ok(Box::new(StreamReader::new(Box::pin(chunks))))
    }

    pub(super) fn blob_call<'a>(&self, method: Method, digest: &Digest) -> Result<Call<'a>, Error> {
        let url = self.url(&format!("blobs/{digest}"))?;
        Ok(Call::new(method, url, self.scope("pull")).may_leave())
    }
}

/// The state of a blob that is being read.
struct BlobReading {
    registry: Registry,
    call: Call<'static>,
    descriptor: Descriptor,
    offset: u64,
    response: Option<Response>,
    pace: Pace,
    hasher: Option<Hasher>,
    attempts: Attempts,
}

impl BlobReading {
    /// Requests the remaining bytes.
    async fn connect(&mut self) -> Result<(), Error> {
        let mut call = self.call.clone();
        if self.offset > 0 {
            call = call.header(RANGE, &format!("bytes={}-", self.offset));
        }
        let response = self.registry.call(&call).await?;
        self.pace = Pace::new(self.registry.inner.http.stall());
        self.response = match response.status().as_u16() {
            206 if self.offset > 0 => Some(response),
            200 => {
                self.response = Some(response);
                return self.skip().await;
            }
            _ => return Err(call.refuse(response).await),
        };
        Ok(())
    }

    /// Skips the bytes that were read before, if the server ignores ranges.
    async fn skip(&mut self) -> Result<(), Error> {
        let mut left = self.offset;
        while left > 0 {
            let Some(chunk) = self.chunk().await? else {
                return Err(
                    self.error(FailureKind::Broken, "the content ends too early".to_owned())
                );
            };
            let length = chunk.len() as u64;
            if length > left {
                return Err(self.error(
                    FailureKind::Broken,
                    "the server does not support ranges".to_owned(),
                ));
            }
            left -= length;
        }
        Ok(())
    }

    /// The next chunk; reconnects if the connection breaks. Returns `None` at the end, after the
    /// digest was verified.
    async fn next(&mut self) -> Result<Option<bytes::Bytes>, Error> {
        loop {
            match self.chunk().await {
                Ok(Some(chunk)) => {
                    self.offset += chunk.len() as u64;
                    if self.offset > self.descriptor.size {
                        let text =
                            format!("the content is longer than {} bytes", self.descriptor.size);
                        return Err(self.error(FailureKind::Digest, text));
                    }
                    if let Some(hasher) = &mut self.hasher {
                        hasher.update(&chunk);
                    }
                    self.attempts.progressed();
                    return Ok(Some(chunk));
                }
                Ok(None) if self.offset == self.descriptor.size => {
                    return self.finish().map(|()| None);
                }
                Ok(None) => {
                    self.retry(
                        self.error(FailureKind::Broken, "the content ends too early".to_owned()),
                    )
                    .await?;
                }
                Err(error) => self.retry(error).await?,
            }
        }
    }

    async fn retry(&mut self, error: Error) -> Result<(), Error> {
        self.response = None;
        self.attempts.again(error, Retry::IfTransient).await?;
        self.connect().await
    }

    fn finish(&mut self) -> Result<(), Error> {
        if self
            .hasher
            .take()
            .is_none_or(|hasher| hasher.matches(&self.descriptor.digest))
        {
            return Ok(());
        }
        let text = format!(
            "the content does not have the digest {}",
            self.descriptor.digest
        );
        Err(self.error(FailureKind::Digest, text))
    }

    async fn chunk(&mut self) -> Result<Option<bytes::Bytes>, Error> {
        let Some(response) = &mut self.response else {
            return Ok(None);
        };
        let url = redact_url(response.url());
        let started = Instant::now();
        match tokio::time::timeout(self.registry.inner.http.stall(), response.chunk()).await {
            Err(_) => Err(Error::new(
                FailureKind::Timeout,
                "GET",
                &url,
                "the content stopped before its end",
            )),
            Ok(Err(error)) => Err(http::explain(&Method::GET, &url, &error)),
            Ok(Ok(chunk)) => {
                let length = chunk.as_ref().map_or(0, bytes::Bytes::len);
                let too_slow = |what| Error::new(FailureKind::Timeout, "GET", &url, what);
                self.pace
                    .note(started.elapsed(), length)
                    .map_err(too_slow)?;
                Ok(chunk)
            }
        }
    }

    fn error(&self, kind: FailureKind, message: String) -> Error {
        Error::new(kind, "GET", &redact_url(&self.call.url), message)
    }
}

/// A blob of one repository as the source of an upload to another.
#[derive(Debug, Clone)]
pub struct RemoteBlob {
    /// The repository to read from.
    pub repo: Repo,
    /// The digest and the size of the blob.
    pub descriptor: Descriptor,
}

#[async_trait::async_trait]
impl BlobSource for RemoteBlob {
    async fn open(&self, offset: u64) -> io::Result<Box<dyn AsyncRead + Send + Unpin>> {
        let reader = self.repo.read(&self.descriptor, offset).await;
        reader.map_err(io::Error::other)
    }
}
