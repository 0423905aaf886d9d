//! Manifests: reads verify the digest, writes keep the bytes, deletion is by digest.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use reqwest::{Method, Response};
use serde::Deserialize;

use super::Repo;
use super::body::Payload;
use super::error::{Error, FailureKind};
use super::exchange::{Call, Fetched};
use crate::oci::{Descriptor, RawManifest, media};
use crate::reference::{Digest, Tag, Target};
use crate::secret::redact_url;

/// The maximum size in bytes: the limit of distribution 2.8 and the recommendation of the
/// specification.
const MOST: usize = 4 * 1024 * 1024;
/// The number of tags per request; the specification recommends that registries accept at least
/// ten.
const TAGS_AT_ONCE: usize = 10;

/// The pauses before a manifest with new blobs is put again.
const FRESH_PAUSES: [Duration; 5] = [
    Duration::from_millis(50),
    Duration::from_millis(150),
    Duration::from_millis(400),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// The outcome of deleting a tag by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Untag {
    /// The registry deleted the tag.
    Done,
    /// The tag does not exist.
    Absent,
    /// The registry cannot delete a tag by name (distribution 2.8).
    Unsupported,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ManifestProbe {
    schema_version: Option<u32>,
    media_type: Option<String>,
}

impl Repo {
    /// Reads digest, size and media type of a manifest by HEAD. The digest is the registry's claim
    /// and is not verified. Returns `None` if the manifest does not exist.
    pub async fn head(&self, target: impl Into<Target>) -> Result<Option<Descriptor>, Error> {
        let target = &target.into();
        let call = self.manifest_call(Method::HEAD, target, "pull")?;
        let response = self.registry.call(&call).await?;
        match response.status().as_u16() {
            200 => {}
            404 => return Ok(None),
            // A response to HEAD has no body; GET returns the reason, or succeeds if the server
            // does not support HEAD.
            _ => {
                return Ok(self.manifest(target).await?.map(|raw| raw.descriptor()));
            }
        }
        let headers = response.headers();
        let size = header(headers, "content-length").and_then(|text| text.parse().ok());
        match (claimed(headers), size) {
            (Some(digest), Some(size)) => {
                Ok(Some(Descriptor::new(&content_type(headers), digest, size)))
            }
            // Old servers send no digest.
            _ => Ok(self.manifest(target).await?.map(|raw| raw.descriptor())),
        }
    }

    /// Reads a manifest by GET and verifies its digest against the requested digest and the
    /// registry's claim. Returns `None` if the registry reports that the manifest does not exist.
    /// Fails on any other error, including a 404 without an error code of the registry.
    pub async fn manifest(&self, target: impl Into<Target>) -> Result<Option<RawManifest>, Error> {
        let target = &target.into();
        let call = self.manifest_call(Method::GET, target, "pull")?;
        match self.registry.fetch(&call, MOST).await {
            Ok(fetched) => read(&call, &fetched, target).map(Some),
            Err(error) if error.says_unknown() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts a manifest under a tag or its digest. Fails if the registry stores other bytes.
    pub async fn put(
        &self,
        target: impl Into<Target>,
        manifest: &RawManifest,
    ) -> Result<(), Error> {
        let url = self.url(&format!("manifests/{}", target.into()))?;
        self.put_at(url, manifest).await.map(drop)
    }

    /// Puts a manifest whose blobs are in the repository. distribution may report a blob as missing
    /// for a moment while another client uploads the same one, so the request is repeated a few
    /// times after this error.
    pub async fn put_fresh(
        &self,
        target: impl Into<Target>,
        manifest: &RawManifest,
    ) -> Result<Response, Error> {
        let url = self.url(&format!("manifests/{}", target.into()))?;
        for pause in FRESH_PAUSES {
            match self.put_at(url.clone(), manifest).await {
                Err(error) if error.misses_content() => tokio::time::sleep(pause).await,
                done => return done,
            }
        }
        self.put_at(url, manifest).await
    }

    /// Puts one manifest under several tags. If the registry supports it, one request carries
    /// several tags (`?tag=…`), and those that it confirms in `OCI-Tag` are done; the other tags
    /// are put one by one, in this order.
    pub async fn put_tags(&self, tags: &[Tag], manifest: &RawManifest) -> Result<(), Error> {
        for group in tags.chunks(TAGS_AT_ONCE) {
            let done = self.fan_out(group, manifest).await?;
            for tag in group.iter().filter(|tag| !done.contains(*tag)) {
                drop(self.put_fresh(tag, manifest).await?);
            }
        }
        Ok(())
    }

    /// Sends one request for several tags (distribution spec after 1.1.1). Returns the tags that
    /// the registry confirmed.
    async fn fan_out(&self, tags: &[Tag], manifest: &RawManifest) -> Result<BTreeSet<Tag>, Error> {
        let known = &self.registry.inner.fan_out;
        if tags.len() < 2 || !known.may_try() {
            return Ok(BTreeSet::new());
        }
        let mut url = self.url(&format!("manifests/{}", manifest.digest))?;
        url.query_pairs_mut()
            .extend_pairs(tags.iter().map(|tag| ("tag", tag.as_str())));
        let headers = match self.put_at(url, manifest).await {
            Ok(response) => response.headers().clone(),
            // The URL is too long, or the registry rejects the query; the requests per tag report
            // any other error.
            Err(error) if matches!(error.status, Some(400 | 404 | 405 | 414 | 431)) => {
                HeaderMap::new()
            }
            Err(error) => {
                known.forget();
                return Err(error);
            }
        };
        let named = headers
            .get_all("oci-tag")
            .iter()
            .filter_map(|value| value.to_str().ok());
        let done: BTreeSet<Tag> = named
            .flat_map(|list| list.split(','))
            .filter_map(|tag| tag.trim().parse().ok())
            .collect();
        known.record(!done.is_empty());
        Ok(done)
    }

    pub(super) async fn put_at(
        &self,
        url: reqwest::Url,
        manifest: &RawManifest,
    ) -> Result<Response, Error> {
        let scope = self.scope("pull,push");
        let call = Call::new(Method::PUT, url, scope)
            .header(CONTENT_TYPE, &manifest.media_type)
            .payload(Payload::Bytes(&manifest.bytes));
        let mut may_retry = true;
        loop {
            let response = self.registry.call(&call).await?;
            if !response.status().is_success() {
                return Err(call.refuse(response).await);
            }
            match claimed(response.headers()).filter(|stored| !stored.is_of(&manifest.bytes)) {
                None => {
                    self.remember_present();
                    return Ok(response);
                }
                // The tag now points to damaged content. Damage in transit is repaired by putting
                // the manifest again at once.
                Some(_) if may_retry => may_retry = false,
                Some(stored) => {
                    let message = format!(
                        "the registry stored {stored} where {} was sent",
                        manifest.digest
                    );
                    return Err(Error::new(
                        FailureKind::Digest,
                        "PUT",
                        &redact_url(&call.url),
                        message,
                    ));
                }
            }
        }
    }

    /// Deletes a manifest by digest. Returns false if it did not exist. Fails if deletion is
    /// disabled.
    pub async fn delete(&self, digest: &Digest) -> Result<bool, Error> {
        let target = Target::Digest(digest.clone());
        let call = self.manifest_call(Method::DELETE, &target, "delete,pull,push")?;
        let response = self.registry.call(&call).await?;
        match response.status().as_u16() {
            200..=299 => Ok(true),
            404 => match call.refuse(response).await {
                error if error.says_unknown() => Ok(false),
                error => Err(error),
            },
            _ => Err(call.refuse(response).await),
        }
    }

    /// Deletes a tag by its name, if the registry supports it (distribution 3, zot).
    pub async fn delete_tag(&self, tag: &Tag) -> Result<Untag, Error> {
        let call = self.manifest_call(Method::DELETE, &Target::from(tag), "delete,pull,push")?;
        let response = self.registry.call(&call).await?;
        match response.status().as_u16() {
            200..=299 => Ok(Untag::Done),
            400 => Ok(Untag::Unsupported),
            404 => match call.refuse(response).await {
                error if error.says_unknown() => Ok(Untag::Absent),
                error => Err(error),
            },
            _ => Err(call.refuse(response).await),
        }
    }

    /// Fails if the registry does not allow deletion. Nothing is deleted: the request is for a
    /// digest that does not exist, which the registry reports as unknown if deletion is enabled.
    pub async fn probe_deletion(&self) -> Result<(), Error> {
        let nothing = Digest::of(b"golden asks whether deletion is enabled");
        self.delete(&nothing).await.map(drop)
    }

    fn manifest_call<'a>(
        &self,
        method: Method,
        target: &Target,
        actions: &str,
    ) -> Result<Call<'a>, Error> {
        let url = self.url(&format!("manifests/{target}"))?;
        let scope = self.scope(actions);
        Ok(Call::new(method, url, scope)
            .header(ACCEPT, media::ACCEPT)
            .may_leave())
    }
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// The digest that the registry claims.
fn claimed(headers: &HeaderMap) -> Option<Digest> {
    header(headers, "docker-content-digest")?
        .trim()
        .parse()
        .ok()
}

/// The media type without its parameters.
fn content_type(headers: &HeaderMap) -> String {
    let text = header(headers, "content-type").unwrap_or_default();
    text.split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}

/// Verifies a manifest: its format, the requested digest, and the digest that the registry claims.
fn read(call: &Call<'_>, fetched: &Fetched, target: &Target) -> Result<RawManifest, Error> {
    let error = |kind, message: String| Error::new(kind, "GET", &redact_url(&call.url), message);
    let media_type = content_type(&fetched.headers);
    let probe: ManifestProbe = serde_json::from_slice(&fetched.body).map_err(|json| {
        let page = media_type == "text/html" || fetched.body.trim_ascii_start().starts_with(b"<");
        let message = if page {
            "the response is a web page, not a manifest".to_owned()
        } else {
            format!("the manifest is not JSON: {json}")
        };
        error(FailureKind::Malformed, message)
    })?;
    if probe.schema_version == Some(1)
        || media_type.starts_with("application/vnd.docker.distribution.manifest.v1+")
    {
        let message = crate::oci::manifest::Error::Schema1.to_string();
        return Err(error(FailureKind::Unsupported, message));
    }
    for expected in [requested_digest(target), claimed(&fetched.headers)]
        .into_iter()
        .flatten()
    {
        if !expected.is_of(&fetched.body) {
            let message = format!(
                "the manifest does not have the digest {expected}: it is {}",
                Digest::of(&fetched.body)
            );
            return Err(error(FailureKind::Digest, message));
        }
    }
    // Some servers send the same media type for every file; the manifest has the right one.
    let known = media::ACCEPT.split(", ").any(|known| known == media_type);
    let media_type = if known {
        media_type
    } else {
        probe.media_type.unwrap_or(media_type)
    };
    Ok(RawManifest::new(media_type, fetched.body.clone()))
}

fn requested_digest(target: &Target) -> Option<Digest> {
    match target {
        Target::Digest(digest) => Some(digest.clone()),
        Target::Tag(_) => None,
    }
}
