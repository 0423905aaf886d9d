//! Uploads of blobs: in one request, in chunks, resumed and cancelled (OCI distribution spec,
//! "Pushing blobs").

use std::sync::Arc;

use http_body_util::BodyExt as _;
use hyper::body::Bytes;
use hyper::header::{CONTENT_RANGE, HeaderName, LOCATION, RANGE};
use hyper::{Request, StatusCode};
use tokio::sync::mpsc;

use super::answer::{Answer, Body, DIGEST, RequestRefusal, empty, set};
use super::query::Query;
use super::range::chunk;
use super::sessions::StoredUpload;
use super::store::{Store, blocking};
use crate::reference::{Digest, RepositoryPath};

/// The maximum number of pieces of a body that wait to be written.
const WAITING: usize = 16;

const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// Handles `POST /v2/NAME/blobs/uploads/`: starts an upload, mounts a blob, or receives a complete
/// blob.
pub(super) async fn begin(
    store: &Arc<Store>,
    repository: &RepositoryPath,
    query: &Query,
    request: Request<Body>,
) -> Result<Answer, RequestRefusal> {
    if let Some(digest) = query
        .get("mount")
        .and_then(|text| text.parse::<Digest>().ok())
        && store.blob_size(&digest)?.is_some()
    {
        return Ok(created(repository, &digest));
    }
    let id = store.sessions.begin(repository)?;
    match query.get("digest") {
        Some(digest) => finish(store, repository, &id, digest, request).await,
        None => Ok(progress(StatusCode::ACCEPTED, repository, &id, 0)),
    }
}

/// Handles `PATCH`: receives a chunk.
pub(super) async fn append(
    store: &Arc<Store>,
    repository: &RepositoryPath,
    id: &str,
    request: Request<Body>,
) -> Result<Answer, RequestRefusal> {
    let session = store.sessions.find(repository, id)?;
    let received = receive(session, repository, id, request).await?;
    Ok(progress(StatusCode::ACCEPTED, repository, id, received))
}

/// Handles `PUT`: receives the last bytes, and stores the blob if it has the digest.
pub(super) async fn finish(
    store: &Arc<Store>,
    repository: &RepositoryPath,
    id: &str,
    digest: &str,
    request: Request<Body>,
) -> Result<Answer, RequestRefusal> {
    let digest: Digest = digest.parse().map_err(|_| {
        RequestRefusal::new(
            StatusCode::BAD_REQUEST,
            "DIGEST_INVALID",
            "the parameter digest is not a digest",
        )
    })?;
    let session = store.sessions.find(repository, id)?;
    receive(session.clone(), repository, id, request).await?;
    let blob_path = store.blob_path(&digest);
    let expected = digest.clone();
    let stored = blocking(move || {
        let session = session.blocking_lock();
        if !session.has(&expected)? {
            std::fs::remove_file(&session.path)?;
            return Ok(false);
        }
        if let Some(directory) = blob_path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        std::fs::rename(&session.path, &blob_path).map(|()| true)
    })
    .await?;
    store.sessions.remove(id);
    if stored {
        return Ok(created(repository, &digest));
    }
    let message = format!("the content does not have the digest {digest}");
    Err(RequestRefusal::new(
        StatusCode::BAD_REQUEST,
        "DIGEST_INVALID",
        message,
    ))
}

/// Handles `GET`: returns the number of received bytes.
pub(super) async fn status(
    store: &Store,
    repository: &RepositoryPath,
    id: &str,
) -> Result<Answer, RequestRefusal> {
    let session = store.sessions.find(repository, id)?;
    let received = session.lock().await.received;
    Ok(progress(StatusCode::NO_CONTENT, repository, id, received))
}

/// Handles `DELETE`: cancels the upload.
pub(super) async fn cancel(
    store: &Store,
    repository: &RepositoryPath,
    id: &str,
) -> Result<Answer, RequestRefusal> {
    let session = store.sessions.find(repository, id)?;
    let session = session.lock().await;
    std::fs::remove_file(&session.path)?;
    store.sessions.remove(id);
    Ok(empty(StatusCode::NO_CONTENT))
}

/// Appends the body of a request to an upload. Returns the number of bytes in the upload.
async fn receive(
    session: Arc<tokio::sync::Mutex<StoredUpload>>,
    repository: &RepositoryPath,
    id: &str,
    request: Request<Body>,
) -> Result<u64, RequestRefusal> {
    let mut session = session.lock_owned().await;
    if let Some(range) = request.headers().get(CONTENT_RANGE) {
        let first = range.to_str().ok().and_then(chunk).map(|(first, _)| first);
        if first != Some(session.received) {
            let message = format!(
                "the upload has {} bytes; the next chunk must begin at this offset",
                session.received
            );
            let refusal = RequestRefusal::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                "BLOB_UPLOAD_INVALID",
                message,
            );
            return Err(refusal
                .header(LOCATION, location(repository, id))
                .header(RANGE, range_of(session.received)));
        }
    }
    let (sender, pieces) = mpsc::channel(WAITING);
    let writing = tokio::task::spawn_blocking(move || {
        let result = session.append(pieces);
        (session, result)
    });
    let read = forward(request.into_body(), sender).await;
    let (session, written) = writing.await.map_err(std::io::Error::other)?;
    written?;
    read.map_err(|error| {
        RequestRefusal::new(
            StatusCode::BAD_REQUEST,
            "BLOB_UPLOAD_INVALID",
            format!("the request body ended early: {error}"),
        )
    })?;
    Ok(session.received)
}

/// Sends the pieces of a body to the thread that writes them.
async fn forward(mut body: Body, sender: mpsc::Sender<Bytes>) -> std::io::Result<()> {
    while let Some(frame) = body.frame().await {
        if let Ok(piece) = frame?.into_data()
            && sender.send(piece).await.is_err()
        {
            // The writer failed and reports the error.
            break;
        }
    }
    Ok(())
}

fn location(repository: &RepositoryPath, id: &str) -> String {
    format!("/v2/{repository}/blobs/uploads/{id}")
}

fn range_of(received: u64) -> String {
    format!("0-{}", received.saturating_sub(1))
}

fn progress(status: StatusCode, repository: &RepositoryPath, id: &str, received: u64) -> Answer {
    let mut answer = empty(status);
    set(&mut answer, LOCATION, location(repository, id));
    set(&mut answer, RANGE, range_of(received));
    set(&mut answer, UPLOAD_ID, id);
    answer
}

/// The response for a stored blob.
fn created(repository: &RepositoryPath, digest: &Digest) -> Answer {
    let mut answer = empty(StatusCode::CREATED);
    set(
        &mut answer,
        LOCATION,
        format!("/v2/{repository}/blobs/{digest}"),
    );
    set(&mut answer, DIGEST, digest.as_str());
    answer
}
