//! Signs an image in a repository: the index and the image of each platform.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::superseded::remove_superseded;
use crate::config_files::SignatureFormat;
use crate::oci::{Descriptor, RawManifest};
use crate::reference::Digest;
use crate::registry::Repo;
use crate::signing::{self, Claim, Error, Signer, Signing};

/// The number of manifests that are signed concurrently.
const CONCURRENT: usize = 4;

/// Attaches a signed claim to a manifest. `now` is in seconds since 1970. Returns the digest of its
/// manifest; `None` if the same claim was attached before.
pub async fn attest(
    repo: &Repo,
    subject: &Descriptor,
    signer: &Signer,
    claim: Claim<'_>,
    now: i64,
) -> Result<Option<Digest>, Error> {
    let attached = signing::attest(repo, subject, signer, claim, now).await?;
    remove_superseded(repo, &attached.superseded).await;
    Ok(attached.manifest)
}

/// Attaches a bundle that another program made to a manifest. `now` is in seconds since 1970.
/// Returns the digest of its manifest; `None` if the bundle was attached before.
pub async fn attach_bundle(
    repo: &Repo,
    subject: &Descriptor,
    content: Vec<u8>,
    predicate_type: &str,
    now: i64,
) -> Result<Option<Digest>, Error> {
    let attached = signing::attach_bundle(repo, subject, content, predicate_type, now).await?;
    remove_superseded(repo, &attached.superseded).await;
    Ok(attached.manifest)
}

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
