//! Blob uploads: skip the blob if it is present, mount it if possible, else stream it. An
//! interrupted upload resumes at the registry's offset; an abandoned upload is cancelled.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap};
use reqwest::{Method, Response, Url};

use super::auth::AuthScope;
use super::body::Payload;
use super::error::{Error, FailureKind};
use super::exchange::{Call, location};
use super::retry::{Attempts, Retry};
use super::{BlobHint, BlobLocation, BlobSource, Registry, Repo};
use crate::event::BlobTransfer;
use crate::oci::Descriptor;
use crate::reference::{Digest, RepositoryPath};
use crate::secret::redact_url;

/// The chunk size in bytes. Blobs up to this size are sent in one request.
const CHUNK: u64 = 64 * 1024 * 1024;
/// The smallest chunk that is tried: a 413 for a chunk of this size is final.
const SMALLEST_CHUNK: u64 = 1024 * 1024;

/// The largest blob in bytes that is sent without asking first: it costs no more than the question.
const SMALL: u64 = 64 * 1024;

/// The number of attempts to cancel an upload: an interrupted request may still be in progress.
const CANCELLATIONS: u32 = 4;
/// The pause between two attempts to cancel.
const CANCELLATION_PAUSE: Duration = Duration::from_millis(200);

/// An upload that the registry has opened. If it is dropped while open, a background task cancels
/// it.
pub(super) struct UploadSession {
    registry: Registry,
    scope: AuthScope,
    location: Url,
    /// The number of bytes that the registry has.
    offset: u64,
    /// The minimum chunk length that the registry accepts, except for the last chunk.
    least: u64,
    open: bool,
}

/// The reason why an attempt to upload failed, and how to continue.
enum UploadError {
    /// Resume at the offset that the registry reports.
    Resume(Error),
    /// The session is lost or invalid: start again from the beginning.
    Restart(Error),
    /// The registry rejected the size: send smaller chunks.
    Smaller(Error),
    /// Permanent failure.
    Stop(Error),
}

impl Repo {
    /// Uploads a blob unless the repository has it. The blob is streamed, so memory use does not
    /// depend on its size; an interrupted upload resumes. Fails once the retries are spent.
    pub async fn push_blob(
        &self,
        descriptor: &Descriptor,
        source: &dyn BlobSource,
    ) -> Result<BlobTransfer, Error> {
        self.push(descriptor, source, self.is_absent()).await
    }

    /// Uploads a blob unless the repository has it. A small blob that is probably absent is not
    /// requested first.
    async fn push(
        &self,
        descriptor: &Descriptor,
        source: &dyn BlobSource,
        is_probably_absent: bool,
    ) -> Result<BlobTransfer, Error> {
        let is_sent_at_once = is_probably_absent && descriptor.size <= SMALL;
        if !is_sent_at_once && self.needs_no_upload(&descriptor.digest).await? {
            return Ok(BlobTransfer::Present);
        }
        self.upload(descriptor, source, None).await
    }

    /// Uploads a blob even if the registry reports that it has it, because the stored blob may be
    /// damaged or lost. Fails once the retries are spent.
    pub async fn replace_blob(
        &self,
        descriptor: &Descriptor,
        source: &dyn BlobSource,
    ) -> Result<BlobTransfer, Error> {
        self.upload(descriptor, source, None).await
    }

    /// Like [`Self::push_blob`], but first requests a mount from the repository `from` of the same
    /// registry.
    pub async fn push_blob_or_mount(
        &self,
        descriptor: &Descriptor,
        from: &RepositoryPath,
        source: &dyn BlobSource,
    ) -> Result<BlobTransfer, Error> {
        if self.needs_no_upload(&descriptor.digest).await? {
            return Ok(BlobTransfer::Present);
        }
        match self.start_mount(&descriptor.digest, from).await? {
            None => Ok(BlobTransfer::Mounted),
            Some(session) => self.upload(descriptor, source, Some(session)).await,
        }
    }

    /// Transfers a blob to a repository at the lowest cost: mounts it from `hint.mount_from`, or
    /// from the repository that this run uploaded it to; else uploads it. A blob that several images
    /// need at the same time is uploaded once: the other callers wait, and then mount it. Fails once
    /// the retries are spent.
    pub async fn transfer_blob(
        &self,
        descriptor: &Descriptor,
        hint: BlobHint<'_>,
        source: &dyn BlobSource,
    ) -> Result<BlobTransfer, Error> {
        let digest = &descriptor.digest;
        let is_probably_absent = hint.is_probably_absent || self.is_absent();
        if let Some(mount_from) = hint.mount_from
            && let Some(done) = self.mount_blob(digest, mount_from).await?
        {
            return Ok(done);
        }
        let location = self.location_of(digest);
        let mut uploaded_to = location.lock().await;
        let Some(holder) = uploaded_to.clone() else {
            let done = self.push(descriptor, source, is_probably_absent).await?;
            *uploaded_to = Some(self.path().clone());
            return Ok(done);
        };
        drop(uploaded_to);
        match self.mount_blob(digest, &holder).await? {
            Some(done) => Ok(done),
            None => self.push(descriptor, source, is_probably_absent).await,
        }
    }

    /// True if the repository has the blob. False also for a registry that fails to answer: its
    /// copy may be damaged, and an upload repairs it.
    async fn needs_no_upload(&self, digest: &Digest) -> Result<bool, Error> {
        match self.has_blob(digest).await {
            Err(error) if error.status.is_some_and(|status| status >= 500) => {
                tracing::debug!(%error, "uploading the blob, because the registry cannot report whether it has it");
                Ok(false)
            }
            known => known,
        }
    }

    /// Mounts a blob from another repository. Returns `None` if the registry does not mount it.
    async fn mount_blob(
        &self,
        digest: &Digest,
        from: &RepositoryPath,
    ) -> Result<Option<BlobTransfer>, Error> {
        if from == self.path() {
            return Ok(Some(BlobTransfer::Present));
        }
        match self.start_mount(digest, from).await? {
            None => Ok(Some(BlobTransfer::Mounted)),
            Some(session) => {
                session.cancel().await;
                Ok(None)
            }
        }
    }

    /// The repository that this run uploaded a blob to. The lock is held during the upload.
    fn location_of(&self, digest: &Digest) -> BlobLocation {
        let mut uploaded_to = self
            .registry
            .inner
            .uploaded_to
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(uploaded_to.entry(digest.clone()).or_default())
    }

    /// Requests a mount. Returns `None` if the blob was mounted; else the upload session that the
    /// registry opened instead.
    pub(super) async fn start_mount(
        &self,
        digest: &Digest,
        from: &RepositoryPath,
    ) -> Result<Option<UploadSession>, Error> {
        let mut url = self.uploads()?;
        url.query_pairs_mut()
            .append_pair("mount", digest.as_str())
            .append_pair("from", from.as_str());
        let scope = self.scope("pull,push").and_pull(from);
        let call = Call::new(Method::POST, url, scope.clone()).header(CONTENT_LENGTH, "0");
        match self.registry.call(&call).await {
            Ok(response) if response.status() == 201 => Ok(None),
            Ok(response) if response.status() == 202 => {
                UploadSession::opened(&self.registry, scope, &call, &response).map(Some)
            }
            // Any other status is ignored: the ordinary upload reports whether something is wrong.
            Ok(_) => self.start().await.map(Some),
            Err(error) if matches!(error.status, Some(401 | 403)) => self.start().await.map(Some),
            Err(error) => Err(error),
        }
    }

    fn uploads(&self) -> Result<Url, Error> {
        self.url("blobs/uploads/")
    }

    async fn start(&self) -> Result<UploadSession, Error> {
        let scope = self.scope("pull,push");
        let call =
            Call::new(Method::POST, self.uploads()?, scope.clone()).header(CONTENT_LENGTH, "0");
        let response = self.registry.call(&call).await?;
        if response.status() != 202 {
            return Err(call.refuse(response).await);
        }
        UploadSession::opened(&self.registry, scope, &call, &response)
    }

    /// Sends a small blob with the request that opens the upload ("Pushing a blob monolithically",
    /// single POST). Returns `None` if the registry stored it; else the upload that it opened.
    async fn upload_at_once(
        &self,
        descriptor: &Descriptor,
        source: &dyn BlobSource,
    ) -> Result<Option<UploadSession>, Error> {
        let feature = &self.registry.inner.one_request;
        let mut url = self.uploads()?;
        url.query_pairs_mut()
            .append_pair("digest", descriptor.digest.as_str());
        let scope = self.scope("pull,push");
        let call = Call::new(Method::POST, url, scope.clone())
            .header(CONTENT_TYPE, "application/octet-stream")
            .payload(Payload::Part {
                source,
                offset: 0,
                length: descriptor.size,
            });
        match self.registry.call_once(&call).await {
            Ok(response) if response.status() == 201 => {
                feature.record(true);
                check_stored(descriptor, &call, response.headers())?;
                return Ok(None);
            }
            Ok(response) if response.status() == 202 => {
                feature.record(false);
                return UploadSession::opened(&self.registry, scope, &call, &response).map(Some);
            }
            Ok(response) if response.status().is_client_error() => feature.record(false),
            Ok(_) | Err(_) => feature.forget(),
        }
        // The ordinary upload reports what is wrong, and retries.
        self.start().await.map(Some)
    }

    /// Uploads a blob, with retries. Fails once the retries are spent.
    async fn upload(
        &self,
        descriptor: &Descriptor,
        source: &dyn BlobSource,
        mut session: Option<UploadSession>,
    ) -> Result<BlobTransfer, Error> {
        if session.is_none()
            && descriptor.size <= SMALL
            && self.registry.inner.one_request.may_try()
        {
            session = self.upload_at_once(descriptor, source).await?;
            if session.is_none() {
                return Ok(BlobTransfer::Sent(descriptor.size));
            }
        }
        let mut attempts = Attempts::new(self.registry.inner.env.retry_policy);
        let mut chunk = CHUNK;
        let mut best = 0;
        loop {
            let mut current = match session.take() {
                Some(session) => session,
                None => self.start().await?,
            };
            let failure = match current.send(descriptor, source, chunk).await {
                Ok(()) => return Ok(BlobTransfer::Sent(descriptor.size)),
                Err(failure) => failure,
            };
            if current.offset > best {
                best = current.offset;
                attempts.progressed();
            }
            let error = match failure {
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
            if let Err(error) = attempts.again(error, Retry::Always).await {
                if let Some(session) = session {
                    session.cancel().await;
                }
                return Err(error);
            }
            if let Some(mut open) = session.take() {
                session = if open.refresh().await {
                    Some(open)
                } else {
                    None
                };
            }
            // If the session no longer exists, a request whose response was lost may have completed
            // the upload.
            if session.is_none() && self.has_blob(&descriptor.digest).await? {
                return Ok(BlobTransfer::Sent(descriptor.size));
            }
        }
    }
}

impl UploadSession {
    fn opened(
        registry: &Registry,
        scope: AuthScope,
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
            scope,
            location,
            offset: 0,
            least,
            open: true,
        })
    }

    /// Sends the remaining bytes and closes the upload.
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
        let call = Call::new(Method::PATCH, self.location.clone(), self.scope.clone())
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

    /// Closes the upload. The last bytes are sent with this request, if any remain.
    async fn close(
        &mut self,
        descriptor: &Descriptor,
        payload: Payload<'_>,
    ) -> Result<(), UploadError> {
        let mut url = self.location.clone();
        url.query_pairs_mut()
            .append_pair("digest", descriptor.digest.as_str());
        let mut call = Call::new(Method::PUT, url, self.scope.clone()).payload(payload);
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
        check_stored(descriptor, &call, response.headers()).map_err(UploadError::Stop)
    }

    /// Updates the offset from the registry. Returns false if the session is lost.
    async fn refresh(&mut self) -> bool {
        let call = Call::new(Method::GET, self.location.clone(), self.scope.clone());
        match self.registry.call(&call).await {
            Ok(response) if response.status().is_success() => {
                self.location = location(&response).unwrap_or_else(|| self.location.clone());
                self.offset = received(response.headers()).unwrap_or(0);
                true
            }
            _ => false,
        }
    }

    /// Cancels the upload. Errors are ignored.
    pub(super) async fn cancel(mut self) {
        self.open = false;
        cancel(&self.registry, &self.scope, self.location.clone()).await;
    }
}

impl Drop for UploadSession {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (registry, scope, location) = (
                self.registry.clone(),
                self.scope.clone(),
                self.location.clone(),
            );
            drop(runtime.spawn(async move {
                // The registry may still be storing the interrupted request, and would then
                // recreate the cancelled upload.
                tokio::time::sleep(CANCELLATION_PAUSE).await;
                cancel(&registry, &scope, location).await;
            }));
        }
    }
}

/// Cancels the upload at `location`. The Location of a session changes with every byte that the
/// registry stores, also those of an interrupted request, so the current Location is read first.
///
/// distribution 2.8 answers 404 to an outdated Location; only its own purge removes such an upload.
async fn cancel(registry: &Registry, scope: &AuthScope, mut location: Url) {
    for attempt in 0..CANCELLATIONS {
        if attempt > 0 {
            tokio::time::sleep(CANCELLATION_PAUSE).await;
        }
        let call = Call::new(Method::GET, location.clone(), scope.clone());
        match registry.call_once(&call).await {
            Ok(response) if response.status() == 404 => return,
            Ok(response) => location = self::location(&response).unwrap_or(location),
            Err(_) => {}
        }
        let call = Call::new(Method::DELETE, location.clone(), scope.clone());
        // Some registries do not support cancellation (405).
        if let Ok(response) = registry.call_once(&call).await
            && (response.status().is_success() || response.status() == 405)
        {
            return;
        }
    }
}

/// Fails if the registry reports that it stored other content than was sent.
fn check_stored(
    descriptor: &Descriptor,
    call: &Call<'_>,
    headers: &HeaderMap,
) -> Result<(), Error> {
    let claimed = header(headers, "docker-content-digest")
        .and_then(|text| text.parse::<Digest>().ok())
        .filter(|claimed| claimed.algorithm() == descriptor.digest.algorithm());
    match claimed {
        Some(claimed) if claimed != descriptor.digest => {
            let text = format!(
                "the registry stored {claimed} where {} was sent",
                descriptor.digest
            );
            let url = redact_url(&call.url);
            Err(Error::new(
                FailureKind::Digest,
                call.method.as_str(),
                &url,
                text,
            ))
        }
        _ => Ok(()),
    }
}

impl UploadError {
    /// Decides how to continue after an error during an upload.
    fn of(error: Error) -> Self {
        match error.status {
            Some(413) => Self::Smaller(error),
            // The session or its state is unknown to the registry, or the received bytes differ
            // from those sent.
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

/// The number of bytes that the registry has, from `Range: 0-N`. Registries send `0-0` for zero
/// bytes and for one byte. It is read as zero, which is safe: the digest is checked at the end.
fn received(headers: &HeaderMap) -> Option<u64> {
    let text = header(headers, "range")?;
    let (_, end) = text.trim_start_matches("bytes=").split_once('-')?;
    match end.trim().parse::<u64>().ok()? {
        0 => Some(0),
        end => Some(end + 1),
    }
}
