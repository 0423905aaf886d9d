//! Manifests: read with proof, written as they came, deleted by digest.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU8, Ordering};

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use reqwest::{Method, Response};
use serde::Deserialize;

use super::Registry;
use super::auth::AuthScope;
use super::body::Payload;
use super::error::{Error, FailureKind};
use super::exchange::{Call, Fetched};
use super::hash::Hasher;
use crate::oci::{Descriptor, RawManifest, media};
use crate::reference::{Digest, RepositoryPath, Tag, Target};
use crate::secret::redact_url;

/// The limit of distribution 2.8 and of the spec's advice.
const MOST: usize = 4 * 1024 * 1024;
/// Tags that one request carries; registries should take at least ten.
const TAGS_AT_ONCE: usize = 10;

/// What became of an attempt to delete a tag by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Untag {
    /// The registry took it.
    Done,
    /// There is no such tag.
    Absent,
    /// The registry cannot delete a tag by name (distribution 2.8).
    Unsupported,
}

/// Whether a registry speaks the fan-out of tags in one request.
#[derive(Debug, Default)]
pub(super) struct MultiTagSupport(AtomicU8);

impl MultiTagSupport {
    /// Nobody has asked.
    const UNKNOWN: u8 = 0;
    /// The first request that would use it is on its way.
    const ASKING: u8 = 1;
    const SPOKEN: u8 = 2;
    const UNHEARD: u8 = 3;

    /// Whether to try: until the first answer is there, others go tag by tag.
    fn may_try(&self) -> bool {
        let order = Ordering::Relaxed;
        self.0
            .compare_exchange(Self::UNKNOWN, Self::ASKING, order, order)
            .is_ok()
            || self.0.load(order) == Self::SPOKEN
    }

    fn learned(&self, spoken: bool) {
        self.0.store(
            if spoken { Self::SPOKEN } else { Self::UNHEARD },
            Ordering::Relaxed,
        );
    }

    /// The request told nothing.
    fn forget(&self) {
        self.0.store(Self::UNKNOWN, Ordering::Relaxed);
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ManifestProbe {
    schema_version: Option<u32>,
    media_type: Option<String>,
}

impl Registry {
    /// Digest, size and media type of a manifest by HEAD: good for polling, no proof. None when there is none.
    pub async fn head_manifest(
        &self,
        repository: &RepositoryPath,
        target: &Target,
    ) -> Result<Option<Descriptor>, Error> {
        let call = self.manifest_call(Method::HEAD, repository, target, "pull")?;
        let response = self.call(&call).await?;
        match response.status().as_u16() {
            200 => {}
            404 => return Ok(None),
            // HEAD has no body: GET says why. It may succeed where HEAD is not known.
            _ => {
                return Ok(self
                    .get_manifest(repository, target)
                    .await?
                    .map(|raw| raw.descriptor()));
            }
        }
        let headers = response.headers();
        let size = header(headers, "content-length").and_then(|text| text.parse().ok());
        match (claimed(headers), size) {
            (Some(digest), Some(size)) => {
                Ok(Some(Descriptor::new(&content_type(headers), digest, size)))
            }
            // Old servers tell no digest.
            _ => Ok(self
                .get_manifest(repository, target)
                .await?
                .map(|raw| raw.descriptor())),
        }
    }

    /// A manifest by GET; its bytes are hashed and compared with what was asked for and with what the registry
    /// claims. None when the registry says, in its own words, that there is none.
    pub async fn get_manifest(
        &self,
        repository: &RepositoryPath,
        target: &Target,
    ) -> Result<Option<RawManifest>, Error> {
        let call = self.manifest_call(Method::GET, repository, target, "pull")?;
        match self.fetch(&call, MOST).await {
            Ok(fetched) => read(&call, &fetched, target).map(Some),
            Err(error) if error.says_unknown() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts a manifest under a tag or its digest.
    pub async fn put_manifest(
        &self,
        repository: &RepositoryPath,
        target: &Target,
        manifest: &RawManifest,
    ) -> Result<(), Error> {
        let url = self.url(&format!("/v2/{repository}/manifests/{target}"))?;
        self.put(repository, url, manifest).await.map(drop)
    }

    /// Puts one manifest under several tags: in one request where the registry speaks it (`?tag=…`, believed as
    /// far as `OCI-Tag` goes), one after the other, in this order, where it does not.
    pub async fn put_tags(
        &self,
        repository: &RepositoryPath,
        tags: &[Tag],
        manifest: &RawManifest,
    ) -> Result<(), Error> {
        for group in tags.chunks(TAGS_AT_ONCE) {
            let done = self.fan_out(repository, group, manifest).await?;
            for tag in group.iter().filter(|tag| !done.contains(*tag)) {
                self.put_manifest(repository, &Target::from(tag), manifest)
                    .await?;
            }
        }
        Ok(())
    }

    /// One request for several tags (distribution spec after 1.1.1); gives the tags that the registry took.
    async fn fan_out(
        &self,
        repository: &RepositoryPath,
        tags: &[Tag],
        manifest: &RawManifest,
    ) -> Result<BTreeSet<Tag>, Error> {
        let known = &self.inner.fan_out;
        if tags.len() < 2 || !known.may_try() {
            return Ok(BTreeSet::new());
        }
        let mut url = self.url(&format!("/v2/{repository}/manifests/{}", manifest.digest))?;
        url.query_pairs_mut()
            .extend_pairs(tags.iter().map(|tag| ("tag", tag.as_str())));
        let headers = match self.put(repository, url, manifest).await {
            Ok(response) => response.headers().clone(),
            // Too long an address, or a query that the registry does not like; tag by tag tells what is wrong.
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
        known.learned(!done.is_empty());
        Ok(done)
    }

    pub(super) async fn put(
        &self,
        repository: &RepositoryPath,
        url: reqwest::Url,
        manifest: &RawManifest,
    ) -> Result<Response, Error> {
        let need = AuthScope::repository(repository, "pull,push");
        let call = Call::new(Method::PUT, url, need)
            .header(CONTENT_TYPE, &manifest.media_type)
            .payload(Payload::Bytes(&manifest.bytes));
        let mut again = true;
        loop {
            let response = self.call(&call).await?;
            if !response.status().is_success() {
                return Err(call.refuse(response).await);
            }
            match claimed(response.headers())
                .filter(|stored| !Hasher::check(stored, &manifest.bytes))
            {
                None => return Ok(response),
                // A tag names something else now. What was changed on its way is put right at once.
                Some(_) if again => again = false,
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

    /// Deletes a manifest by digest. False when it was not there.
    pub async fn delete_manifest(
        &self,
        repository: &RepositoryPath,
        digest: &Digest,
    ) -> Result<bool, Error> {
        let target = Target::Digest(digest.clone());
        let call = self.manifest_call(Method::DELETE, repository, &target, "delete,pull,push")?;
        let response = self.call(&call).await?;
        match response.status().as_u16() {
            200..=299 => Ok(true),
            404 => match call.refuse(response).await {
                error if error.says_unknown() => Ok(false),
                error => Err(error),
            },
            _ => Err(call.refuse(response).await),
        }
    }

    /// Deletes a tag by its name, where the registry can (distribution 3, zot).
    pub async fn delete_tag(&self, repository: &RepositoryPath, tag: &Tag) -> Result<Untag, Error> {
        let call = self.manifest_call(
            Method::DELETE,
            repository,
            &Target::from(tag),
            "delete,pull,push",
        )?;
        let response = self.call(&call).await?;
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

    /// Whether manifests can be deleted at all, found out without deleting one: a digest that nothing has is
    /// unknown where deletion is on, and the method refused where it is off.
    pub async fn probe_deletion(&self, repository: &RepositoryPath) -> Result<(), Error> {
        let nothing = Digest::of(b"golden asks whether deletion is enabled");
        self.delete_manifest(repository, &nothing).await.map(drop)
    }

    fn manifest_call<'a>(
        &self,
        method: Method,
        repository: &RepositoryPath,
        target: &Target,
        actions: &str,
    ) -> Result<Call<'a>, Error> {
        let url = self.url(&format!("/v2/{repository}/manifests/{target}"))?;
        let need = AuthScope::repository(repository, actions);
        Ok(Call::new(method, url, need)
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

/// Reads a manifest's bytes with every check: format, digest asked for, digest claimed.
fn read(call: &Call<'_>, fetched: &Fetched, target: &Target) -> Result<RawManifest, Error> {
    let error = |kind, message: String| Error::new(kind, "GET", &redact_url(&call.url), message);
    let media_type = content_type(&fetched.headers);
    let probe: ManifestProbe = serde_json::from_slice(&fetched.body).map_err(|json| {
        let page = media_type == "text/html" || fetched.body.trim_ascii_start().starts_with(b"<");
        let message = if page {
            "the answer is a web page, not a manifest".to_owned()
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
    for expected in [asked(target), claimed(&fetched.headers)]
        .into_iter()
        .flatten()
    {
        if !Hasher::check(&expected, &fetched.body) {
            let message = format!(
                "the manifest does not have the digest {expected}: it is {}",
                Digest::of(&fetched.body)
            );
            return Err(error(FailureKind::Digest, message));
        }
    }
    // Some servers label every file the same; the manifest itself knows better.
    let known = media::ACCEPT.split(", ").any(|known| known == media_type);
    let media_type = if known {
        media_type
    } else {
        probe.media_type.unwrap_or(media_type)
    };
    Ok(RawManifest::new(media_type, fetched.body.clone()))
}

fn asked(target: &Target) -> Option<Digest> {
    match target {
        Target::Digest(digest) => Some(digest.clone()),
        Target::Tag(_) => None,
    }
}
