//! What refers to a manifest: signatures, SBOMs (distribution spec 1.1, referrers API and its fallback tag).

use reqwest::Method;
use reqwest::header::ACCEPT;

use super::Registry;
use super::auth::Need;
use super::error::{Error, Kind};
use super::exchange::Call;
use crate::oci::{Descriptor, Index, media};
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

/// The tag under which clients list referrers where the registry does not: `sha256-…`.
pub(super) fn fallback_tag(digest: &Digest) -> Result<Tag, Error> {
    let text: String = format!("{}-{}", digest.algorithm(), digest.hex()).chars().take(128).collect();
    text.parse().map_err(|error| Error::new(Kind::Local, "", "", format!("{error}")))
}
