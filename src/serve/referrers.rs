//! Lists the manifests that refer to a manifest (OCI distribution spec, "Listing referrers").

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::HeaderName;
use serde_json::{Value, json};

use super::answer::{Answer, RequestRefusal, set, with_body};
use super::index::{ManifestEntry, RepositoryContents};
use super::manifests::ManifestView;
use super::query::Query;
use super::store::{Store, blocking};
use crate::oci::media;
use crate::reference::{Digest, RepositoryPath};

const FILTERS: HeaderName = HeaderName::from_static("oci-filters-applied");

/// `GET /v2/NAME/referrers/DIGEST`. The list of a digest without referrers is empty.
pub(super) async fn list(
    store: &Arc<Store>,
    repository: &RepositoryPath,
    digest: &Digest,
    query: &Query,
) -> Result<Answer, RequestRefusal> {
    let entries: std::collections::BTreeMap<Digest, ManifestEntry> = store.read(|index| {
        let entries = index
            .repository(repository)
            .into_iter()
            .flat_map(RepositoryContents::entries);
        entries
            .map(|entry| (entry.digest.clone(), entry.clone()))
            .collect()
    })?;
    let (kept, subject) = (store.clone(), digest.clone());
    let mut found = blocking(move || {
        let mut found = Vec::new();
        for entry in entries.values() {
            found.extend(referrer(&kept, entry, &subject)?);
        }
        Ok::<_, std::io::Error>(found)
    })
    .await?;
    let filter = query.get("artifactType");
    if let Some(filter) = filter {
        found.retain(|line| line["artifactType"] == filter);
    }
    let index = json!({ "schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": found });
    let mut answer = with_body(StatusCode::OK, media::OCI_INDEX, index.to_string());
    if filter.is_some() {
        set(&mut answer, FILTERS, "artifactType");
    }
    Ok(answer)
}

/// The descriptor of a manifest in the list, if it refers to the subject.
fn referrer(
    store: &Store,
    entry: &ManifestEntry,
    subject: &Digest,
) -> std::io::Result<Option<Value>> {
    let Some(view) = store
        .manifest(&entry.digest)?
        .and_then(|bytes| ManifestView::parse(&bytes))
    else {
        return Ok(None);
    };
    if view
        .subject
        .as_ref()
        .is_none_or(|descriptor| descriptor.digest != *subject)
    {
        return Ok(None);
    }
    let mut line =
        json!({ "mediaType": entry.media_type, "digest": entry.digest, "size": entry.size });
    // If a manifest has no artifact type, the media type of its config applies; an index has none.
    let config = view.config.map(|config| config.media_type);
    if let Some(kind) = view
        .artifact_type
        .filter(|kind| !kind.is_empty())
        .or(config)
    {
        line["artifactType"] = json!(kind);
    }
    if let Some(annotations) = view
        .annotations
        .filter(|annotations| !annotations.is_empty())
    {
        line["annotations"] = json!(annotations);
    }
    Ok(Some(line))
}
