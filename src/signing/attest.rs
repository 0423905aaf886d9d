//! Attaches attestations to images: signed statements, such as the result of a scan.

use serde_json::Value;

use super::attach::{put, signed};
use super::check::bundle_blobs;
use super::{Error, Signer};
use crate::oci::{Bytes, Descriptor, rfc3339};
use crate::reference::Digest;
use crate::registry::referrers::Superseded;
use crate::registry::{self, Repo};
use crate::trust::artifact::{Artifact, ArtifactSubject};
use crate::trust::{PublicKey, bundle, statement};

/// The largest bundle of an attestation, in bytes. A bill of materials can be large.
pub const MOST_BUNDLE_BYTES: u64 = 64 << 20;

/// A claim about an image.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// The URI of the predicate type.
    pub predicate_type: &'a str,
    /// The predicate.
    pub predicate: &'a Value,
}

/// The result of attaching a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachedBundle {
    /// The digest of the manifest of the bundle; `None` if the bundle was attached before.
    pub manifest: Option<Digest>,
    /// The manifests that new ones replaced, such as the list of referrers before this bundle.
    pub superseded: Vec<Superseded>,
}

impl AttachedBundle {
    const PRESENT: Self = Self {
        manifest: None,
        superseded: Vec::new(),
    };
}

/// Signs a claim about a manifest, and attaches it. Does nothing if the same claim by this key is
/// attached. `now` is in seconds since 1970.
pub async fn attest(
    repo: &Repo,
    subject: &Descriptor,
    signer: &Signer,
    claim: Claim<'_>,
    now: i64,
) -> Result<AttachedBundle, Error> {
    let Claim {
        predicate_type,
        predicate,
    } = claim;
    let text = statement::statement(&subject.digest, predicate_type, predicate);
    let is_same =
        |bytes: &[u8]| bundle::signed_by(bytes, signer.public()).as_deref() == Some(&text[..]);
    if has(repo, &subject.digest, predicate_type, is_same).await? {
        return Ok(AttachedBundle::PRESENT);
    }
    let content = signed(signer, &text).await?;
    let key = Some(signer.public());
    put_bundle(repo, subject, content, predicate_type, key, now).await
}

/// Attaches a bundle that another program made. Does nothing if it is attached. `predicate_type` is
/// the type of the statement that it encloses; `now` is in seconds since 1970.
pub async fn attach_bundle(
    repo: &Repo,
    subject: &Descriptor,
    content: Vec<u8>,
    predicate_type: &str,
    now: i64,
) -> Result<AttachedBundle, Error> {
    if has(repo, &subject.digest, predicate_type, |bytes| {
        bytes == content
    })
    .await?
    {
        return Ok(AttachedBundle::PRESENT);
    }
    put_bundle(repo, subject, content, predicate_type, None, now).await
}

/// Attaches a bundle to `subject`. `now` is in seconds since 1970.
async fn put_bundle(
    repo: &Repo,
    subject: &Descriptor,
    content: Vec<u8>,
    predicate_type: &str,
    key: Option<&PublicKey>,
    now: i64,
) -> Result<AttachedBundle, Error> {
    let created = &rfc3339(now);
    let target = ArtifactSubject { subject, created };
    let artifact = Artifact::bundle(content, predicate_type, key, target);
    let manifest = Some(artifact.manifest.digest.clone());
    Ok(AttachedBundle {
        manifest,
        superseded: put(repo, &subject.digest, vec![artifact]).await?,
    })
}

/// True if a bundle for which `is_same` returns true is attached to `subject`.
async fn has(
    repo: &Repo,
    subject: &Digest,
    predicate_type: &str,
    is_same: impl Fn(&[u8]) -> bool,
) -> Result<bool, registry::Error> {
    for blob in bundle_blobs(repo, subject, predicate_type).await? {
        if blob.size > MOST_BUNDLE_BYTES {
            continue;
        }
        let read: Result<Bytes, _> = repo.blob(&blob, MOST_BUNDLE_BYTES).await;
        match read {
            Ok(bytes) if is_same(&bytes) => return Ok(true),
            Ok(_) => {}
            // A damaged bundle is not the same.
            Err(error) if error.is_about_content() || error.says_unknown() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}
