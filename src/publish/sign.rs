//! Signs an image in a repository: the index and the image of each platform.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::superseded::remove_superseded;
use crate::config_files::SignatureFormat;
use crate::oci::RawManifest;
use crate::reference::Digest;
use crate::registry::Repo;
use crate::signing::{self, Error, Signing};

/// The number of manifests that are signed concurrently.
const CONCURRENT: usize = 4;

/// Signs an image where it has no signature by the key. `now` is in seconds since 1970. Returns the
/// manifests with the formats that were added.
pub async fn sign(
    repo: &Repo,
    raw: &RawManifest,
    signing: &Signing,
    now: i64,
) -> Result<Vec<(Digest, Vec<SignatureFormat>)>, Error> {
    let subjects = signing::subjects(repo, raw).await?;
    let attached = stream::iter(&subjects).map(async |subject| {
        let Signing { signer, formats } = signing;
        let attached = signing::attach(repo, subject, signer, formats, now).await?;
        Ok::<_, Error>((subject.digest.clone(), attached))
    });
    let attached: Vec<_> = attached.buffered(CONCURRENT).try_collect().await?;
    let mut superseded = Vec::new();
    let mut signed = Vec::new();
    for (digest, attached) in attached {
        superseded.extend(attached.superseded);
        signed.push((digest, attached.formats));
    }
    remove_superseded(repo, &superseded).await;
    Ok(signed)
}
