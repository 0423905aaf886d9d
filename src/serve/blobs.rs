//! Reads blobs, complete or in part, and deletes them (OCI distribution spec, "Pulling blobs",
//! "Deleting blobs").

use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use futures_util::{Stream, stream};
use hyper::body::Bytes;
use hyper::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, IF_RANGE, RANGE,
};
use hyper::{Method, StatusCode};

use super::answer::{Answer, DIGEST, RequestRefusal, empty, set, streamed};
use super::query::is_known;
use super::range::{ByteRange, part};
use super::store::{Store, blocking};
use crate::oci::Manifest;
use crate::reference::{Digest, RepositoryPath};

/// The number of bytes that are read from the disk at once.
const PIECE: u64 = 512 << 10;

/// Handles `GET` and `HEAD` of a blob. All repositories of the layout share their blobs.
pub(super) async fn read(
    store: &Arc<Store>,
    digest: &Digest,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Answer, RequestRefusal> {
    let path = store.blob_path(digest);
    let opened = blocking(move || {
        let file = File::open(path)?;
        let data = file.metadata()?;
        Ok::<_, std::io::Error>((file, data))
    })
    .await;
    let (file, length) = match opened {
        Ok((file, data)) if data.is_file() => (file, data.len()),
        Ok(_) => return Err(unknown()),
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(unknown()),
        Err(error) => return Err(error.into()),
    };
    let tag = format!("\"{digest}\"");
    let mut answer = if is_known(headers, &tag) {
        empty(StatusCode::NOT_MODIFIED)
    } else {
        content(file, length, &tag, method, headers)?
    };
    set(&mut answer, DIGEST, digest.as_str());
    set(&mut answer, ETAG, tag);
    set(&mut answer, ACCEPT_RANGES, "bytes");
    set(&mut answer, CACHE_CONTROL, "max-age=31536000");
    Ok(answer)
}

/// The response with the requested bytes.
fn content(
    file: File,
    length: u64,
    tag: &str,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Answer, RequestRefusal> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let requested = text(&RANGE).filter(|_| text(&IF_RANGE).is_none_or(|known| known == tag));
    let (status, range) = match part(requested, length) {
        ByteRange::Whole => (StatusCode::OK, 0..length),
        ByteRange::Bytes(range) => (StatusCode::PARTIAL_CONTENT, range),
        ByteRange::Outside => {
            let message = format!("the blob has {length} bytes");
            return Err(RequestRefusal::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                "RANGE_INVALID",
                message,
            )
            .header(CONTENT_RANGE, format!("bytes */{length}")));
        }
    };
    let size = range.end - range.start;
    let sent = if method == Method::HEAD {
        0..0
    } else {
        range.clone()
    };
    let mut answer = streamed(status, size, pieces(file, sent));
    set(&mut answer, CONTENT_LENGTH, size.to_string());
    if status == StatusCode::PARTIAL_CONTENT {
        set(
            &mut answer,
            CONTENT_RANGE,
            format!("bytes {}-{}/{length}", range.start, range.end - 1),
        );
    }
    Ok(answer)
}

/// A part of a file, which is read while it is sent.
fn pieces(file: File, range: Range<u64>) -> impl Stream<Item = std::io::Result<Bytes>> {
    stream::try_unfold((file, range), |(mut file, range)| async move {
        if range.is_empty() {
            return Ok(None);
        }
        let next = range.end.min(range.start + PIECE);
        let (start, count) = (range.start, next - range.start);
        let (file, bytes) = blocking(move || {
            let mut bytes = Vec::with_capacity(usize::try_from(count).unwrap_or_default());
            file.seek(SeekFrom::Start(start))?;
            (&mut file).take(count).read_to_end(&mut bytes)?;
            Ok::<_, std::io::Error>((file, bytes))
        })
        .await?;
        if bytes.len() as u64 != count {
            return Err(std::io::Error::new(
                ErrorKind::UnexpectedEof,
                "the blob became shorter while it was read",
            ));
        }
        Ok(Some((Bytes::from(bytes), (file, next..range.end))))
    })
}

/// Handles `DELETE`. Refuses to delete a blob that a manifest of another repository needs.
pub(super) async fn delete(
    store: &Arc<Store>,
    repository: &RepositoryPath,
    digest: &Digest,
) -> Result<Answer, RequestRefusal> {
    let (store, repository, digest) = (store.clone(), repository.clone(), digest.clone());
    let removed = blocking(move || {
        let manifests = store.read(|index| {
            let others = index
                .repositories()
                .filter(|(path, _)| **path != repository);
            let entries = others
                .flat_map(|(path, contents)| contents.entries().map(move |entry| (path, entry)));
            entries
                .map(|(path, entry)| (path.clone(), entry.clone()))
                .collect::<Vec<_>>()
        })?;
        for (path, entry) in manifests {
            if entry.digest == digest || needs(&store, &entry.media_type, &entry.digest, &digest)? {
                return Ok(Err(path));
            }
        }
        store.remove_blob(&digest).map(Ok)
    })
    .await?;
    match removed {
        Ok(true) => Ok(empty(StatusCode::ACCEPTED)),
        Ok(false) => Err(unknown()),
        Err(other) => {
            let message = format!("an image of {other} needs this blob");
            Err(RequestRefusal::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "UNSUPPORTED",
                message,
            ))
        }
    }
}

/// True if a blob is the config or a layer of a manifest.
fn needs(
    store: &Store,
    media_type: &str,
    manifest: &Digest,
    blob: &Digest,
) -> std::io::Result<bool> {
    let Some(bytes) = store.manifest(manifest)? else {
        return Ok(false);
    };
    Ok(
        match crate::oci::RawManifest::new(media_type, bytes).parse() {
            Ok(Manifest::Image(image)) => {
                image.config.digest == *blob
                    || image.layers.iter().any(|layer| layer.digest == *blob)
            }
            Ok(Manifest::Index(_)) | Err(_) => false,
        },
    )
}

fn unknown() -> RequestRefusal {
    RequestRefusal::new(
        StatusCode::NOT_FOUND,
        "BLOB_UNKNOWN",
        "blob unknown to the registry",
    )
}
