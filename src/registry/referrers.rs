//! Referrers of a manifest, such as signatures and SBOMs (OCI distribution spec 1.1: referrers API
//! and fallback tag).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use reqwest::Method;
use reqwest::header::ACCEPT;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::error::{Error, FailureKind};
use super::exchange::Call;
use super::list::{Pages, next_page};
use super::{Repo, Rewrites, Watch};
use crate::oci::{Descriptor, RawManifest, media};
use crate::reference::{Digest, Tag};

/// The largest page of a list of referrers, in bytes.
const MOST: usize = 4 * 1024 * 1024;

/// An entry of a list of referrers.
#[derive(Debug, Clone)]
pub struct Referrer {
    /// The parsed descriptor.
    pub descriptor: Descriptor,
    /// The descriptor exactly as in the list, including fields that golden does not know.
    text: Box<RawValue>,
}

/// A manifest that another one has replaced under a tag which tools derive from a digest. The registry
/// keeps it without a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superseded {
    /// The tag, which points to the newer manifest.
    pub tag: Tag,
    /// The digest of the replaced manifest.
    pub digest: Digest,
}

/// The index under a fallback tag. Its entries keep their original text.
struct FallbackIndex {
    fields: BTreeMap<String, Box<RawValue>>,
    entries: Vec<Referrer>,
}

impl FallbackIndex {
    /// Parses an index; returns `None` if the text is not an index.
    fn read(text: &[u8]) -> Option<Self> {
        let fields: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(text).ok()?;
        let media_type: Option<String> = fields
            .get("mediaType")
            .and_then(|text| serde_json::from_str(text.get()).ok());
        if media_type.is_some_and(|media_type| media_type != media::OCI_INDEX) {
            return None;
        }
        let entries: Option<Vec<Box<RawValue>>> =
            serde_json::from_str(fields.get("manifests")?.get()).ok()?;
        let read = |text: Box<RawValue>| {
            let descriptor: Descriptor = serde_json::from_str(text.get()).ok()?;
            Some(Referrer { descriptor, text })
        };
        let entries = entries
            .unwrap_or_default()
            .into_iter()
            .map(read)
            .collect::<Option<_>>()?;
        Some(Self { fields, entries })
    }

    fn has(&self, digest: &Digest) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.descriptor.digest == *digest)
    }

    /// Returns the index with `entries`, and the other fields unchanged.
    fn with(&self, entries: &[Referrer]) -> Result<RawManifest, Error> {
        let broken = |error: serde_json::Error| Error::local(error.to_string());
        let texts: Vec<&RawValue> = entries.iter().map(|entry| entry.text.as_ref()).collect();
        let mut fields = self.fields.clone();
        fields.insert(
            "manifests".to_owned(),
            serde_json::value::to_raw_value(&texts).map_err(broken)?,
        );
        let text = serde_json::to_vec(&fields).map_err(broken)?;
        Ok(RawManifest::new(media::OCI_INDEX, text))
    }

    /// An index without entries.
    fn empty() -> Self {
        let text = json!({ "schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": [] })
            .to_string();
        Self::read(text.as_bytes()).unwrap_or_else(|| Self {
            fields: BTreeMap::new(),
            entries: Vec::new(),
        })
    }
}

/// True if a response is a list of referrers. Some registries answer unknown URLs with a page.
pub(super) fn is_list(body: &[u8]) -> bool {
    FallbackIndex::read(body).is_some()
}

impl Repo {
    /// The manifests whose subject is `digest`: those in the registry's list and those in the
    /// client-managed list under the fallback tag, of all types. Fails if a list is malformed or
    /// cannot be read to its end.
    pub async fn referrers(&self, digest: &Digest) -> Result<Vec<Referrer>, Error> {
        self.referrers_until(digest, |_| false).await
    }

    /// The manifests whose subject is `digest`, as [`Self::referrers`] returns them, but only those of
    /// one of the two lists if `is_enough` returns true for it. The list under the fallback tag is read
    /// first if the registry is known to have no list of its own.
    pub async fn referrers_until(
        &self,
        digest: &Digest,
        is_enough: impl Fn(&[Referrer]) -> bool,
    ) -> Result<Vec<Referrer>, Error> {
        let lacks_lists = &self.registry.inner.lacks_referrer_lists;
        let fallback_first = lacks_lists.load(Ordering::Relaxed);
        let mut all: Vec<Referrer> = Vec::new();
        for is_fallback in [fallback_first, !fallback_first] {
            let more = if is_fallback {
                self.fallback_list(digest).await?.1.entries
            } else {
                let listed = self.referrers_by_api(digest).await?;
                lacks_lists.store(listed.is_none(), Ordering::Relaxed);
                listed.unwrap_or_default()
            };
            let known: BTreeSet<Digest> = all
                .iter()
                .map(|entry| entry.descriptor.digest.clone())
                .collect();
            let is_new = |entry: &Referrer| !known.contains(&entry.descriptor.digest);
            all.extend(more.into_iter().filter(is_new));
            if is_enough(&all) {
                break;
            }
        }
        Ok(all)
    }

    /// Reads all pages of the registry's own list; returns `None` if the registry does not support
    /// the API.
    async fn referrers_by_api(&self, digest: &Digest) -> Result<Option<Vec<Referrer>>, Error> {
        let first = self.url(&format!("referrers/{digest}"))?;
        let mut pages = Pages::within(self.registry.inner.env.retry_policy.list);
        let mut all = Vec::new();
        let mut next = Some(first.clone());
        while let Some(url) = next {
            let call =
                Call::new(Method::GET, url, self.scope("pull")).header(ACCEPT, media::OCI_INDEX);
            let incomplete = |message| call.incomplete(message);
            let is_first = call.url == first;
            let fetched = match pages.fetch(&self.registry, &call, MOST).await {
                Ok(fetched) => fetched,
                Err(error) if is_first && matches!(error.status, Some(400 | 404 | 405 | 406)) => {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            };
            let Some(page) = FallbackIndex::read(&fetched.body) else {
                // Some registries answer unknown URLs with an HTML page.
                let malformed =
                    || call.malformed("the next page of the list of referrers is not an index");
                return if is_first { Ok(None) } else { Err(malformed()) };
            };
            let names = page
                .entries
                .iter()
                .map(|entry| entry.descriptor.digest.to_string());
            if !pages.add(names.collect()).map_err(incomplete)? {
                return Err(incomplete(
                    "the list of referrers repeats itself".to_owned(),
                ));
            }
            all.extend(page.entries);
            next = next_page(&fetched.headers, &fetched.url).map_err(incomplete)?;
            if let Some(next) = &next
                && !self.registry.is_ours(next)?
            {
                return Err(call.malformed("the next page of the list is on another host"));
            }
        }
        Ok(Some(all))
    }

    /// The list under the fallback tag, with the digest of its index; empty if the tag does not
    /// exist.
    async fn fallback_list(
        &self,
        subject: &Digest,
    ) -> Result<(Option<Digest>, FallbackIndex), Error> {
        let Some(raw) = self.manifest(&fallback_tag(subject)?).await? else {
            return Ok((None, FallbackIndex::empty()));
        };
        let list = FallbackIndex::read(&raw.bytes);
        let malformed = || {
            let message = "the list of referrers under the fallback tag is not an index";
            self.error(FailureKind::Malformed, &raw.digest, message)
        };
        Ok((Some(raw.digest.clone()), list.ok_or_else(malformed)?))
    }

    /// Puts manifests whose subject is `subject`, each with its entry in the list that it was copied
    /// from, if any. If the registry does not maintain the list of referrers (the response lacks
    /// `OCI-Subject`), the client must add the entries under the fallback tag, which it does in one
    /// write. Returns the lists that were replaced. Fails if the list does not keep the entries.
    pub async fn put_referrers(
        &self,
        subject: &Digest,
        manifests: &[(RawManifest, Option<Referrer>)],
    ) -> Result<Vec<Superseded>, Error> {
        let mut added = Vec::new();
        for (manifest, listed) in manifests {
            if self.put_untagged(manifest).await? {
                continue;
            }
            added.push(match listed {
                Some(listed) => listed.clone(),
                None => entry_of(manifest)?,
            });
        }
        if added.is_empty() {
            return Ok(Vec::new());
        }
        self.change_list(subject, |list| {
            let missing: Vec<Referrer> = added
                .iter()
                .filter(|entry| !list.has(&entry.descriptor.digest))
                .cloned()
                .collect();
            (!missing.is_empty()).then(|| list.entries.iter().cloned().chain(missing).collect())
        })
        .await
    }

    /// Puts a manifest by digest. Returns true if the registry adds it to its list of referrers.
    async fn put_untagged(&self, manifest: &RawManifest) -> Result<bool, Error> {
        let response = self.put_fresh(&manifest.digest, manifest).await?;
        Ok(response.headers().contains_key("oci-subject"))
    }

    /// Removes a manifest from the list under the fallback tag of its subject, if it is listed.
    /// Returns the lists that were replaced.
    pub async fn unlist_referrer(
        &self,
        subject: &Digest,
        referrer: &Digest,
    ) -> Result<Vec<Superseded>, Error> {
        self.change_list(subject, |list| {
            let others = list
                .entries
                .iter()
                .filter(|entry| entry.descriptor.digest != *referrer);
            list.has(referrer).then(|| others.cloned().collect())
        })
        .await
    }

    /// Changes the list under a fallback tag and reads it back, until the change persists: another
    /// client may write it at the same time, and the registry may show the write late. After its
    /// own write, golden watches the list for a moment, because a client that read the list before
    /// may still overwrite it. `change` returns the new entries, or `None` if the list is already as
    /// required. Returns the lists that this client replaced, without empty ones: those of all subjects
    /// are the same manifest.
    async fn change_list(
        &self,
        subject: &Digest,
        change: impl Fn(&FallbackIndex) -> Option<Vec<Referrer>>,
    ) -> Result<Vec<Superseded>, Error> {
        let tag = fallback_tag(subject)?;
        let mut polling = self.registry.polling();
        let mut rewrites = Rewrites::default();
        let mut watch = Watch::default();
        let mut replaced: Vec<Superseded> = Vec::new();
        loop {
            let (digest, list) = self.fallback_list(subject).await?;
            let Some(entries) = change(&list) else {
                if !rewrites.wrote() || watch.is_calm(digest.as_ref(), &polling).await {
                    replaced.retain(|list| Some(&list.digest) != digest.as_ref());
                    return Ok(replaced);
                }
                continue;
            };
            if rewrites.calls_for(digest.as_ref(), &mut polling) {
                drop(self.put_fresh(&tag, &list.with(&entries)?).await?);
                let digest = digest.filter(|_| !list.entries.is_empty());
                let tag = &tag;
                replaced.extend(digest.map(|digest| Superseded {
                    tag: tag.clone(),
                    digest,
                }));
            }
            if !polling.again().await {
                let url = self.shown_url(&format!("manifests/{tag}"));
                let message =
                    "the list of referrers under the fallback tag does not keep the new entries";
                return Err(Error::new(FailureKind::Rejected, "PUT", &url, message));
            }
        }
    }
}

/// The digest of the subject of a manifest, if it has one.
#[must_use]
pub fn subject_of(manifest: &RawManifest) -> Option<Digest> {
    let value: Value = serde_json::from_slice(&manifest.bytes).ok()?;
    value.pointer("/subject/digest")?.as_str()?.parse().ok()
}

/// The entry of a manifest in the list of its subject (OCI distribution spec, "Pushing Manifests
/// with Subject").
fn entry_of(manifest: &RawManifest) -> Result<Referrer, Error> {
    let broken = |error: serde_json::Error| Error::local(error.to_string());
    let value: Value = serde_json::from_slice(&manifest.bytes).map_err(broken)?;
    let text = |key: &str| {
        value
            .pointer(key)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    let descriptor = Descriptor {
        artifact_type: text("/artifactType")
            .or_else(|| text("/config/mediaType"))
            .map(str::to_owned),
        ..manifest.descriptor()
    };
    let mut entry = json!(descriptor);
    if let Some(annotations) = value.get("annotations") {
        entry["annotations"] = annotations.clone();
    }
    Ok(Referrer {
        descriptor,
        text: serde_json::value::to_raw_value(&entry).map_err(broken)?,
    })
}

/// The tag `sha256-…`, under which clients list referrers if the registry does not.
fn fallback_tag(digest: &Digest) -> Result<Tag, Error> {
    tag_for(digest, "")
}

/// The tag that tools derive from a digest, with the suffix of its kind: none for the list of
/// referrers; `.sig`, `.att` and `.sbom` for those of cosign.
pub fn tag_for(digest: &Digest, suffix: &str) -> Result<Tag, Error> {
    let name = format!("{}-{}", digest.algorithm(), digest.hex());
    // A tag has at most 128 characters, fewer than a SHA-512 digest.
    let name: String = name.chars().take(128 - suffix.len()).collect();
    format!("{name}{suffix}")
        .parse()
        .map_err(|error| Error::new(FailureKind::Local, "", "", format!("{error}")))
}

/// The tags that tools derive from a digest: the fallback tag, and those of cosign.
#[must_use]
pub fn tags_of_tools(digest: &Digest) -> Vec<Tag> {
    ["", ".sig", ".att", ".sbom"]
        .iter()
        .filter_map(|suffix| tag_for(digest, suffix).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_entries_keep_their_bytes() {
        let foreign = format!(
            r#"{{ "size":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",  "digest":"{}","artifactType":"application/x","x":[1, 2] }}"#,
            Digest::of(b"a")
        );
        let text =
            format!(r#"{{"manifests":[{foreign}],"schemaVersion":2,"annotations":{{"a":  "b"}}}}"#);
        let list = FallbackIndex::read(text.as_bytes()).unwrap();
        let manifest = RawManifest::new(
            media::OCI_MANIFEST,
            br#"{"artifactType":"application/y"}"#.to_vec(),
        );
        let entries: Vec<Referrer> = list
            .entries
            .iter()
            .cloned()
            .chain([entry_of(&manifest).unwrap()])
            .collect();
        let written = list.with(&entries).unwrap();
        let written = String::from_utf8(written.bytes.to_vec()).unwrap();
        assert!(written.contains(&foreign), "{written}");
        assert!(
            written.contains(r#""annotations":{"a":  "b"}"#),
            "{written}"
        );
        assert!(
            written.contains(r#""artifactType":"application/y""#),
            "{written}"
        );
        assert!(FallbackIndex::read(b"<html>").is_none());
        assert!(FallbackIndex::read(b"{}").is_none());
        assert!(FallbackIndex::read(br#"{"mediaType":"application/x","manifests":[]}"#).is_none());
        assert_eq!(
            FallbackIndex::read(br#"{"manifests":null}"#).map(|list| list.entries.len()),
            Some(0)
        );
    }
}
