//! Uploads: nothing when the blob is there, a mount where it can be had next door, else streamed, resumed after a
//! break from where the registry says it stands, and cancelled when given up.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap};
use reqwest::{Method, Response, Url};

use super::auth::AuthScope;
use super::body::Payload;
use super::error::{Error, FailureKind};
use super::exchange::{Call, location};
use super::retry::Attempts;
use super::{BlobLocation, BlobSource, Registry, Upload};
use crate::oci::Descriptor;
use crate::reference::{Digest, RepositoryPath};
use crate::secret::redact_url;

/// Blobs up to this size go in one request, larger ones in chunks of it.
const CHUNK: u64 = 64 * 1024 * 1024;
/// Below this a registry's 413 is final.
const SMALLEST_CHUNK: u64 = 1024 * 1024;

/// A cancellation is tried this often: an interrupted request may still be on its way.
const CANCELLATIONS: u32 = 4;
/// The pause between two of these.
const CANCELLATION_PAUSE: Duration = Duration::from_millis(200);

/// An upload that the registry has opened. Dropping it before its end cancels it as well as can be.
pub(super) struct UploadSession {
    registry: Registry,
    need: AuthScope,
    location: Url,
    /// How much the registry has.
    offset: u64,
    /// The smallest chunk that the registry takes, but for the last one.
    least: u64,
    open: bool,
}

/// Why an upload did not go through in one piece.
enum UploadError {
    /// Ask the registry where it stands, and go on from there.
    Resume(Error),
    /// The session is gone or spoilt: start again from the beginning.
    Restart(Error),
    /// Smaller pieces are wanted.
    Smaller(Error),
    /// It cannot be done.
    Stop(Error),
}

impl Registry {
    /// Uploads a blob unless the repository has it: streamed, resumed after a break, memory flat.
    pub async fn push_blob(
        &self,
        repository: &RepositoryPath,
        descriptor: &Descriptor,
        source: &dyn BlobSource,
    ) -> Result<Upload, Error> {
        if self.needs_no_upload(repository, &descriptor.digest).await? {
            return Ok(Upload::Present);
        }
        self.upload(repository, descriptor, source, None).await
    }

    /// Uploads a blob even if the registry says that it has it: what it has may be damaged or lost.
    pub async fn replace_blob(
        &self,
        repository: &RepositoryPath,
        descriptor: &Descriptor,
        source: &dyn BlobSource,
    ) -> Result<Upload, Error> {
        self.upload(repository, descriptor, source, None).await
    }

    /// As [`Self::push_blob`], but first asks the registry to take the blob from its repository `from`.
    pub async fn push_blob_or_mount(
        &self,
        repository: &RepositoryPath,
        descriptor: &Descriptor,
        from: &RepositoryPath,
        source: &dyn BlobSource,
    ) -> Result<Upload, Error> {
        if self.needs_no_upload(repository, &descriptor.digest).await? {
            return Ok(Upload::Present);
        }
        match self
            .start_mount(repository, &descriptor.digest, from)
            .await?
        {
            None => Ok(Upload::Mounted),
            Some(session) => {
                self.upload(repository, descriptor, source, Some(session))
                    .await
            }
        }
    }

    /// Brings a blob to a repository at the least cost: taken from `near`, a repository of this registry that has it,
    /// or from the one that this run has brought it to; else uploaded. What many images want at the same time
    /// travels once: the others wait for it, and take it from there.
    pub async fn bring_blob(
        &self,
        repository: &RepositoryPath,
        descriptor: &Descriptor,
        near: Option<&RepositoryPath>,
        source: &dyn BlobSource,
    ) -> Result<Upload, Error> {
        let digest = &descriptor.digest;
        if let Some(near) = near
            && let Some(done) = self.take_from(repository, digest, near).await?
        {
            return Ok(done);
        }
        let place = self.place_of(digest);
        let mut held = place.lock().await;
        let Some(there) = held.clone() else {
            let done = self.push_blob(repository, descriptor, source).await?;
            *held = Some(repository.clone());
            return Ok(done);
        };
        drop(held);
        match self.take_from(repository, digest, &there).await? {
            Some(done) => Ok(done),
            None => self.push_blob(repository, descriptor, source).await,
        }
    }

    /// Whether a repository has a blob. A registry that cannot say may have it damaged, which an upload repairs.
    async fn needs_no_upload(
        &self,
        repository: &RepositoryPath,
        digest: &Digest,
    ) -> Result<bool, Error> {
        match self.has_blob(repository, digest).await {
            Err(error) if error.status.is_some_and(|status| status >= 500) => {
                tracing::debug!(%error, "uploaded, because the registry cannot say whether it has the blob");
                Ok(false)
            }
            known => known,
        }
    }

    /// Takes a blob from a repository that has it. None when the registry would not.
    async fn take_from(
        &self,
        repository: &RepositoryPath,
        digest: &Digest,
        from: &RepositoryPath,
    ) -> Result<Option<Upload>, Error> {
        if from == repository {
            return Ok(Some(Upload::Present));
        }
        match self.start_mount(repository, digest, from).await? {
            None => Ok(Some(Upload::Mounted)),
            Some(session) => {
                session.cancel().await;
                Ok(None)
            }
        }
    }

    /// The repository that this run has brought a blob to, under a lock that is held while it is on its way.
    fn place_of(&self, digest: &Digest) -> BlobLocation {
        let mut brought = self
            .inner
            .brought
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(brought.entry(digest.clone()).or_default())
    }

    /// Asks for a mount. None when it is done; else the upload that the registry opened in its place.
    pub(super) async fn start_mount(
        &self,
        repository: &RepositoryPath,
        digest: &Digest,
        from: &RepositoryPath,
    ) -> Result<Option<UploadSession>, Error> {
        let mut url = self.uploads(repository)?;
        url.query_pairs_mut()
            .append_pair("mount", digest.as_str())
            .append_pair("from", from.as_str());
        let need = AuthScope::repository(repository, "pull,push").and_pull(from);
        let call = Call::new(Method::POST, url, need.clone()).header(CONTENT_LENGTH, "0");
        match self.call(&call).await {
            Ok(response) if response.status() == 201 => Ok(None),
            Ok(response) if response.status() == 202 => {
                UploadSession::opened(self, need, &call, &response).map(Some)
            }
            // Whatever else it says about mounting: an ordinary upload tells whether something is wrong.
            Ok(_) => self.start(repository).await.map(Some),
            Err(error) if matches!(error.status, Some(401 | 403)) => {
                self.start(repository).await.map(Some)
            }
            Err(error) => Err(error),
        }
    }

    fn uploads(&self, repository: &RepositoryPath) -> Result<Url, Error> {
        self.url(&format!("/v2/{repository}/blobs/uploads/"))
    }

    async fn start(&self, repository: &RepositoryPath) -> Result<UploadSession, Error> {
        let need = AuthScope::repository(repository, "pull,push");
        let call = Call::new(Method::POST, self.uploads(repository)?, need.clone())
            .header(CONTENT_LENGTH, "0");
        let response = self.call(&call).await?;
        if response.status() != 202 {
            return Err(call.refuse(response).await);
        }
        UploadSession::opened(self, need, &call, &response)
    }

    /// Sends a blob until the registry has it, or the retries are spent.
    async fn upload(
        &self,
        repository: &RepositoryPath,
        descriptor: &Descriptor,
        source: &dyn BlobSource,
        mut session: Option<UploadSession>,
    ) -> Result<Upload, Error> {
        let mut attempts = Attempts::new(self.inner.env.retry_policy);
        let mut chunk = CHUNK;
        let mut best = 0;
        loop {
            let mut current = match session.take() {
                Some(session) => session,
                None => self.start(repository).await?,
            };
            let setback = match current.send(descriptor, source, chunk).await {
                Ok(()) => return Ok(Upload::Sent(descriptor.size)),
                Err(setback) => setback,
            };
            if current.offset > best {
                best = current.offset;
                attempts.progressed();
            }
            let error = match setback {
                UploadError::Stop(error) => {
                    current.cancel().await;
                    return Err(error);
                }
                UploadError::Smaller(error) if chunk <= SMALLEST_CHUNK => {
                    current.cancel().await;
                    return Err(error);
                }
                UploadError::Smaller(_) => {
                    chunk = chunk.min(descriptor.size).div_ceil(4).max(SMALLEST_CHUNK);
                    current.cancel().await;
                    continue;
                }
                UploadError::Restart(error) => {
                    current.cancel().await;
                    error
                }
                UploadError::Resume(error) => {
                    session = Some(current);
                    error
                }
            };
            // A digest that does not fit may be damage on the way, so it counts as something that passes.
            let kind = error.kind;
            let passing = if error.is_transient() {
                kind
            } else {
                FailureKind::Broken
            };
            if let Err(error) = attempts
                .again(Error {
                    kind: passing,
                    ..error
                })
                .await
            {
                let error = Error { kind, ..error };
                if let Some(session) = session {
                    session.cancel().await;
                }
                return Err(error);
            }
            if let Some(mut open) = session.take() {
                session = if open.ask().await { Some(open) } else { None };
            }
            // A session that is gone may have been closed by the request whose answer was lost.
            if session.is_none() && self.has_blob(repository, &descriptor.digest).await? {
                return Ok(Upload::Sent(descriptor.size));
            }
        }
    }
}

impl UploadSession {
    fn opened(
        registry: &Registry,
        need: AuthScope,
        call: &Call<'_>,
        response: &Response,
    ) -> Result<Self, Error> {
        let location = location(response)
            .ok_or_else(|| call.malformed("an upload was opened without a Location"))?;
        let least =
            header(response.headers(), "oci-chunk-min-length").and_then(|text| text.parse().ok());
        let least = least.unwrap_or_default();
        Ok(Self {
            registry: registry.clone(),
            need,
            location,
            offset: 0,
            least,
            open: true,
        })
    }

    /// Sends what is missing and closes the upload.
    async fn send(
        &mut self,
        descriptor: &Descriptor,
        source: &dyn BlobSource,
        chunk: u64,
    ) -> Result<(), UploadError> {
        let size = descriptor.size;
        let chunk = chunk.max(self.least);
        if self.offset == 0 && size <= chunk {
            return self
                .close(
                    descriptor,
                    Payload::Part {
                        source,
                        offset: 0,
                        length: size,
                    },
                )
                .await;
        }
        while self.offset < size {
            let length = chunk.min(size - self.offset);
            self.patch(source, length).await?;
        }
        self.close(descriptor, Payload::Empty).await
    }

    /// Sends one chunk.
    async fn patch(&mut self, source: &dyn BlobSource, length: u64) -> Result<(), UploadError> {
        let (from, to) = (self.offset, self.offset + length);
        let call = Call::new(Method::PATCH, self.location.clone(), self.need.clone())
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_RANGE, &format!("{from}-{}", to - 1))
            .payload(Payload::Part {
                source,
                offset: from,
                length,
            });
        let response = self
            .registry
            .call_once(&call)
            .await
            .map_err(UploadError::of)?;
        if !response.status().is_success() {
            return Err(UploadError::of(call.refuse(response).await));
        }
        self.location = location(&response).unwrap_or_else(|| self.location.clone());
        self.offset = received(response.headers())
            .filter(|&end| end > from)
            .unwrap_or(to);
        Ok(())
    }

    /// Closes the upload, with the last bytes if there are some left.
    async fn close(
        &mut self,
        descriptor: &Descriptor,
        payload: Payload<'_>,
    ) -> Result<(), UploadError> {
        let mut url = self.location.clone();
        url.query_pairs_mut()
            .append_pair("digest", descriptor.digest.as_str());
        let mut call = Call::new(Method::PUT, url, self.need.clone()).payload(payload);
        call = match payload {
            Payload::Empty => call.header(CONTENT_LENGTH, "0"),
            _ => call.header(CONTENT_TYPE, "application/octet-stream"),
        };
        let response = self
            .registry
            .call_once(&call)
            .await
            .map_err(UploadError::of)?;
        if !response.status().is_success() {
            return Err(UploadError::of(call.refuse(response).await));
        }
        self.open = false;
        let claimed = header(response.headers(), "docker-content-digest")
            .and_then(|text| text.parse::<Digest>().ok());
        match claimed {
            Some(claimed)
                if claimed.algorithm() == descriptor.digest.algorithm()
                    && claimed != descriptor.digest =>
            {
                let text = format!(
                    "the registry stored {claimed} where {} was sent",
                    descriptor.digest
                );
                Err(UploadError::Stop(Error::new(
                    FailureKind::Digest,
                    "PUT",
                    &redact_url(&call.url),
                    text,
                )))
            }
            _ => Ok(()),
        }
    }

    /// Asks the registry how much it has. False when the session is lost.
    async fn ask(&mut self) -> bool {
        let call = Call::new(Method::GET, self.location.clone(), self.need.clone());
        match self.registry.call(&call).await {
            Ok(response) if response.status().is_success() => {
                self.location = location(&response).unwrap_or_else(|| self.location.clone());
                self.offset = received(response.headers()).unwrap_or(0);
                true
            }
            _ => false,
        }
    }

    /// Cancels the upload. An error makes no difference to what is uploaded instead.
    pub(super) async fn cancel(mut self) {
        self.open = false;
        cancel(&self.registry, &self.need, self.location.clone()).await;
    }
}

impl Drop for UploadSession {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (registry, need, location) = (
                self.registry.clone(),
                self.need.clone(),
                self.location.clone(),
            );
            drop(runtime.spawn(async move {
                // A registry that still stores what the interrupted request brought would restore a cancelled upload.
                tokio::time::sleep(CANCELLATION_PAUSE).await;
                cancel(&registry, &need, location).await;
            }));
        }
    }
}

/// Cancels the upload at `location`. The Location of a session changes with every byte that the registry takes, and a
/// request that was interrupted may have left some, so the registry is asked for the current one first. distribution
/// 2.8 answers 404 to an outdated Location: only its own purge removes such an upload.
async fn cancel(registry: &Registry, need: &AuthScope, mut location: Url) {
    for attempt in 0..CANCELLATIONS {
        if attempt > 0 {
            tokio::time::sleep(CANCELLATION_PAUSE).await;
        }
        let call = Call::new(Method::GET, location.clone(), need.clone());
        match registry.call_once(&call).await {
            Ok(response) if response.status() == 404 => return,
            Ok(response) => location = self::location(&response).unwrap_or(location),
            Err(_) => {}
        }
        let call = Call::new(Method::DELETE, location.clone(), need.clone());
        // Some registries cannot cancel at all.
        if let Ok(response) = registry.call_once(&call).await
            && (response.status().is_success() || response.status() == 405)
        {
            return;
        }
    }
}

impl UploadError {
    /// What an error in the middle of an upload means.
    fn of(error: Error) -> Self {
        match error.status {
            Some(413) => Self::Smaller(error),
            // The session or its state is not known (any more), or what arrived is not what was sent.
            Some(400 | 404 | 409 | 416) => match error.code.as_deref() {
                Some("NAME_INVALID" | "NAME_UNKNOWN" | "UNSUPPORTED" | "DENIED") => {
                    Self::Stop(error)
                }
                _ => Self::Restart(error),
            },
            _ if error.is_transient() => Self::Resume(error),
            _ => Self::Stop(error),
        }
    }
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// How much the registry has, from `Range: 0-N`. `0-0` is said of nothing and of one byte alike: nothing is the
/// safe reading, since the digest decides in the end.
fn received(headers: &HeaderMap) -> Option<u64> {
    let text = header(headers, "range")?;
    let (_, end) = text.trim_start_matches("bytes=").split_once('-')?;
    match end.trim().parse::<u64>().ok()? {
        0 => Some(0),
        end => Some(end + 1),
    }
}
