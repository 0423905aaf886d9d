//! Reads, stores and deletes manifests (OCI distribution spec, "Pulling manifests", "Pushing
//! manifests", "Deleting tags", "Deleting manifests").

use std::sync::Arc;

use http_body_util::{BodyExt as _, Limited};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, LOCATION};
use hyper::{Method, Request, StatusCode};
use serde::Deserialize;

use super::answer::{Answer, Body, DIGEST, RequestRefusal, add, empty, set, with_body};
use super::index::{ManifestEntry, RepositoryContents, StoreIndex};
use super::query::{Query, is_known};
use super::store::{MANIFEST_LIMIT, Store, blocking};
use crate::oci::{Descriptor, media};
use crate::reference::{Digest, RepositoryPath, Tag, Target};

const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const TAG: HeaderName = HeaderName::from_static("oci-tag");

/// The members of a manifest or an index that the registry reads. It ignores all others.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ManifestView {
    schema_version: Option<u32>,
    media_type: Option<String>,
    pub(super) artifact_type: Option<String>,
    /// The config; only in an image manifest.
    pub(super) config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    /// The manifest that this one refers to.
    pub(super) subject: Option<Descriptor>,
    pub(super) annotations: Option<std::collections::BTreeMap<String, String>>,
}

impl ManifestView {
    /// Parses a manifest. Returns `None` if it is not one.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// The config and the layers, without layers that are stored elsewhere.
    pub(super) fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        let layers = self
            .layers
            .iter()
            .flatten()
            .filter(|layer| layer.urls.is_empty());
        self.config.iter().chain(layers)
    }

    /// The manifests of an index.
    pub(super) fn children(&self) -> impl Iterator<Item = &Descriptor> {
        self.manifests.iter().flatten()
    }
}

/// Handles `GET` and `HEAD` of a manifest.
pub(super) fn read(
    store: &Store,
    repository: &RepositoryPath,
    target: &Target,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Answer, RequestRefusal> {
    let entry = find(store, repository, target)?.ok_or_else(|| unknown(target))?;
    let tag = format!("\"{}\"", entry.digest);
    let mut answer = if is_known(headers, &tag) {
        empty(StatusCode::NOT_MODIFIED)
    } else if method == Method::HEAD {
        let size = store
            .blob_size(&entry.digest)?
            .ok_or_else(|| unknown(target))?;
        let mut answer = with_body(StatusCode::OK, &entry.media_type, "");
        set(&mut answer, CONTENT_LENGTH, size.to_string());
        answer
    } else {
        let bytes = store
            .manifest(&entry.digest)?
            .ok_or_else(|| unknown(target))?;
        with_body(StatusCode::OK, &entry.media_type, bytes)
    };
    set(&mut answer, DIGEST, entry.digest.as_str());
    set(&mut answer, ETAG, tag);
    Ok(answer)
}

/// The entry of a tag or digest. An image in an index may have no entry, since other programs write
/// none.
fn find(
    store: &Store,
    repository: &RepositoryPath,
    target: &Target,
) -> std::io::Result<Option<ManifestEntry>> {
    let contents: Option<RepositoryContents> =
        match store.read(|index| match index.repository(repository) {
            None => Ok(None),
            Some(contents) => match contents.find(target) {
                Some(entry) => Err(entry.clone()),
                None => Ok(matches!(target, Target::Digest(_)).then(|| contents.clone())),
            },
        })? {
            Err(entry) => return Ok(Some(entry)),
            Ok(contents) => contents,
        };
    let (Some(contents), Target::Digest(digest)) = (contents, target) else {
        return Ok(None);
    };
    let child = child(store, contents.entries().cloned().collect(), digest)?;
    Ok(child.filter(|child| {
        store
            .blob_size(&child.digest)
            .is_ok_and(|size| size.is_some())
    }))
}

/// Searches for a manifest in all indexes among the entries, and in their nested indexes.
fn child(
    store: &Store,
    entries: Vec<ManifestEntry>,
    digest: &Digest,
) -> std::io::Result<Option<ManifestEntry>> {
    let mut seen = std::collections::BTreeSet::new();
    let mut waiting = entries;
    while let Some(entry) = waiting.pop() {
        if !is_index(&entry.media_type) || !seen.insert(entry.digest.clone()) {
            continue;
        }
        let Some(view) = store
            .manifest(&entry.digest)?
            .and_then(|bytes| ManifestView::parse(&bytes))
        else {
            continue;
        };
        for child in view.children() {
            let entry = ManifestEntry::new(&child.media_type, child.digest.clone(), child.size);
            if child.digest == *digest {
                return Ok(Some(entry));
            }
            waiting.push(entry);
        }
    }
    Ok(None)
}

fn is_index(media_type: &str) -> bool {
    matches!(media_type, media::OCI_INDEX | media::DOCKER_LIST)
}

/// Handles `PUT`: stores a manifest with a tag, with a digest, or with a digest and the tags of the
/// query (`?tag=1.2.3&tag=1.2`, which the distribution spec has after version 1.1).
pub(super) async fn store(
    store: &Arc<Store>,
    repository: &RepositoryPath,
    target: &Target,
    query: &Query,
    request: Request<Body>,
) -> Result<Answer, RequestRefusal> {
    let tags = tags(target, query)?;
    let media_type = media_type(request.headers());
    let limited = Limited::new(
        request.into_body(),
        usize::try_from(MANIFEST_LIMIT).unwrap_or(usize::MAX),
    );
    let bytes = limited
        .collect()
        .await
        .map_err(|error| too_long(error.as_ref()))?
        .to_bytes();
    let view =
        ManifestView::parse(&bytes).ok_or_else(|| invalid("it is not a manifest in JSON"))?;
    let media_type = checked_type(media_type, &view)?;
    let digest = match target {
        Target::Digest(digest) if digest.is_of(&bytes) => digest.clone(),
        Target::Digest(digest) => {
            let message = format!("the manifest does not have the digest {digest}");
            return Err(RequestRefusal::new(
                StatusCode::BAD_REQUEST,
                "DIGEST_INVALID",
                message,
            ));
        }
        Target::Tag(_) => Digest::of(&bytes),
    };
    let subject = view.subject.as_ref().map(|subject| subject.digest.clone());
    let entry = ManifestEntry::new(&media_type, digest.clone(), bytes.len() as u64);
    let (shared, path, new_tags) = (store.clone(), repository.clone(), tags.clone());
    blocking(move || {
        shared.change(|index| {
            check_complete(&shared, &view)?;
            shared.keep_manifest(&entry.digest, &bytes)?;
            index.put(&path, &entry, &new_tags);
            Ok::<_, RequestRefusal>(())
        })
    })
    .await?;
    let mut answer = empty(StatusCode::CREATED);
    set(
        &mut answer,
        LOCATION,
        format!("/v2/{repository}/manifests/{digest}"),
    );
    set(&mut answer, DIGEST, digest.as_str());
    if let Some(subject) = subject {
        set(&mut answer, SUBJECT, subject.as_str());
    }
    if matches!(target, Target::Digest(_)) {
        for tag in &tags {
            add(&mut answer, TAG, tag.as_str());
        }
    }
    Ok(answer)
}

/// The tags in the path or query of a `PUT`.
fn tags(target: &Target, query: &Query) -> Result<Vec<Tag>, RequestRefusal> {
    match target {
        Target::Tag(tag) => Ok(vec![tag.clone()]),
        Target::Digest(_) => query
            .all("tag")
            .map(str::parse)
            .collect::<Result<_, crate::reference::Error>>()
            .map_err(|error| {
                RequestRefusal::new(StatusCode::BAD_REQUEST, "TAG_INVALID", error.to_string())
            }),
    }
}

fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(
        value
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned(),
    )
}

fn checked_type(header: Option<String>, view: &ManifestView) -> Result<String, RequestRefusal> {
    let known = [
        media::OCI_MANIFEST,
        media::OCI_INDEX,
        media::DOCKER_MANIFEST,
        media::DOCKER_LIST,
    ];
    let header = header
        .filter(|header| !header.is_empty())
        .ok_or_else(|| invalid("the header Content-Type is missing"))?;
    if !known.contains(&header.as_str()) {
        return Err(invalid(&format!(
            "the media type {header} is not supported"
        )));
    }
    if view
        .media_type
        .as_ref()
        .is_some_and(|inner| *inner != header)
    {
        return Err(invalid(
            "the header Content-Type differs from `mediaType` in the manifest",
        ));
    }
    if view.schema_version != Some(2) {
        return Err(invalid("schemaVersion is not 2"));
    }
    let is_complete = if is_index(&header) {
        view.manifests.is_some()
    } else {
        view.config.is_some()
    };
    if is_complete {
        Ok(header)
    } else {
        Err(invalid(
            "an image needs `config`, and an index needs `manifests`",
        ))
    }
}

/// Refuses a manifest whose blobs or images are not stored. Its subject may be uploaded later.
fn check_complete(store: &Store, view: &ManifestView) -> Result<(), RequestRefusal> {
    for descriptor in view.blobs().chain(view.children()) {
        if store.blob_size(&descriptor.digest)?.is_none() {
            let message = format!("{} does not exist in this registry", descriptor.digest);
            return Err(RequestRefusal::new(
                StatusCode::BAD_REQUEST,
                "MANIFEST_BLOB_UNKNOWN",
                message,
            ));
        }
    }
    Ok(())
}

/// Handles `DELETE` of a tag, or of a manifest and all its tags.
pub(super) async fn delete(
    store: &Arc<Store>,
    repository: &RepositoryPath,
    target: &Target,
) -> Result<Answer, RequestRefusal> {
    let (shared, path, removed) = (store.clone(), repository.clone(), target.clone());
    blocking(move || {
        let known = find(&shared, &path, &removed)?.is_some();
        shared.change(|index: &mut StoreIndex| {
            let removed_entry = index.remove(&path, &removed);
            if !known && !removed_entry {
                return Err(unknown(&removed));
            }
            // An image that only an index lists has no entry, so its blob is removed, unless
            // another repository has it.
            if let Target::Digest(digest) = &removed
                && !index.digests().any(|other| other == *digest)
            {
                shared.remove_blob(digest)?;
            }
            Ok(())
        })
    })
    .await?;
    Ok(empty(StatusCode::ACCEPTED))
}

fn unknown(target: &Target) -> RequestRefusal {
    let message = format!("manifest {target} unknown to the registry");
    RequestRefusal::new(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", message)
}

fn invalid(what: &str) -> RequestRefusal {
    RequestRefusal::new(
        StatusCode::BAD_REQUEST,
        "MANIFEST_INVALID",
        format!("the manifest is invalid: {what}"),
    )
}

fn too_long(error: &(dyn std::error::Error + Send + Sync + 'static)) -> RequestRefusal {
    if error.is::<http_body_util::LengthLimitError>() {
        let message = format!("the manifest is longer than the limit of {MANIFEST_LIMIT} bytes");
        return RequestRefusal::new(StatusCode::PAYLOAD_TOO_LARGE, "MANIFEST_INVALID", message);
    }
    RequestRefusal::new(
        StatusCode::BAD_REQUEST,
        "MANIFEST_INVALID",
        format!("the request body ended early: {error}"),
    )
}
