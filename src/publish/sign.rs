//! Signs an image in a repository: the index and the image of each platform.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::superseded::remove_superseded;
use crate::config_files::SignatureFormat;
use crate::oci::{Descriptor, RawManifest};
use crate::reference::Digest;
use crate::registry::Repo;
use crate::signing::{
    self, Claim, Error, Expected, ExpectedSignatures, NewArtifacts, Signer, Signing,
};

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
    let Signing { signer, formats } = signing;
    let expected = Expected {
        signatures: Some(ExpectedSignatures {
            key: Some(signer.public().clone()),
            formats: formats.clone(),
        }),
        ..Expected::default()
    };
    let subjects = signing::subjects(repo, raw).await?;
    let attached = stream::iter(&subjects).map(async |subject| {
        let signatures = signing::missing(repo, subject, &expected).await?.signatures;
        let new = NewArtifacts {
            signatures: signatures.clone(),
            ..NewArtifacts::default()
        };
        let superseded =
            signing::attach(repo, &subject.descriptor(), Some(signer), new, now).await?;
        Ok::<_, Error>((subject.digest.clone(), signatures, superseded))
    });
    let attached: Vec<_> = attached.buffered(CONCURRENT).try_collect().await?;
    let mut superseded = Vec::new();
    let mut signed = Vec::new();
    for (digest, signatures, replaced) in attached {
        superseded.extend(replaced);
        signed.push((digest, signatures));
    }
    remove_superseded(repo, &superseded).await;
    Ok(signed)
}
