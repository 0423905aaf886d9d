//! What refers to a manifest: signatures, SBOMs (distribution spec 1.1, referrers API and its fallback tag).

use reqwest::Method;
use reqwest::header::ACCEPT;
use serde_json::{Value, json};

use super::Registry;
use super::auth::Need;
use super::error::{Error, Kind};
use super::exchange::Call;
use crate::oci::{Descriptor, Index, RawManifest, media};
use crate::reference::{Digest, RepositoryPath, Tag, Target};

/// A list of referrers may be this large.
const MOST: usize = 4 * 1024 * 1024;

impl Registry {
    /// The manifests that name `digest` as their subject.
    pub async fn referrers(
        &self,
        repository: &RepositoryPath,
        digest: &Digest,
    ) -> Result<Vec<Descriptor>, Error> {
        let url = self.url(&format!("/v2/{repository}/referrers/{digest}"))?;
        let call = Call::new(Method::GET, url, Need::repository(repository, "pull"))
            .header(ACCEPT, media::OCI_INDEX);
        let body = match self.fetch(&call, MOST).await {
            Ok(fetched) => fetched.body,
            // Registries before 1.1 do not know the address; clients keep the list under a tag there.
            Err(error) if matches!(error.status, Some(404 | 405)) => {
                match self.get_manifest(repository, &Target::Tag(fallback_tag(digest)?)).await? {
                    Some(raw) => raw.bytes.to_vec(),
                    None => return Ok(Vec::new()),
                }
            }
            Err(error) => return Err(error),
        };
        let index: Index = serde_json::from_slice(&body)
            .map_err(|error| call.malformed(format!("the list of referrers is not an index: {error}")))?;
        Ok(index.manifests)
    }
}

impl Registry {
    /// Puts a manifest that refers to another one. Where the registry does not keep the list of referrers itself (its
    /// answer lacks `OCI-Subject`), the client has to, under the fallback tag.
    pub async fn put_referrer(
        &self,
        repository: &RepositoryPath,
        manifest: &RawManifest,
    ) -> Result<(), Error> {
        let url = self.url(&format!("/v2/{repository}/manifests/{}", manifest.digest))?;
        let response = self.put(repository, url, manifest).await?;
        let Ok(value) = serde_json::from_slice::<Value>(&manifest.bytes) else { return Ok(()) };
        let subject =
            value.pointer("/subject/digest").and_then(Value::as_str).and_then(|text| text.parse().ok());
        let Some(subject) = subject.filter(|_| !response.headers().contains_key("oci-subject")) else {
            return Ok(());
        };
        let mut all = self.referrers(repository, &subject).await?;
        if all.iter().any(|known| known.digest == manifest.digest) {
            return Ok(());
        }
        let text = |key: &str| value.pointer(key).and_then(Value::as_str);
        let mut entries: Vec<Value> = all.drain(..).map(|known| json!(known)).collect();
        let mut entry = json!(manifest.descriptor());
        if let Some(kind) = text("/artifactType").or_else(|| text("/config/mediaType")) {
            entry["artifactType"] = kind.into();
        }
        if let Some(annotations) = value.get("annotations") {
            entry["annotations"] = annotations.clone();
        }
        entries.push(entry);
        let index = json!({ "schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": entries });
        let index = RawManifest::new(media::OCI_INDEX, index.to_string().into_bytes());
        self.put_manifest(repository, &Target::Tag(fallback_tag(&subject)?), &index).await
    }
}

/// The tag under which clients list referrers where the registry does not: `sha256-…`.
fn fallback_tag(digest: &Digest) -> Result<Tag, Error> {
    let text: String = format!("{}-{}", digest.algorithm(), digest.hex()).chars().take(128).collect();
    text.parse().map_err(|error| Error::new(Kind::Local, "", "", format!("{error}")))
}
