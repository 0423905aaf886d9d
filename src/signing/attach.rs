//! Attaches signatures to images in a registry.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::check::{present, simple_tag};
use super::cosign::{self, SignatureCopy};
use super::{Error, Signer};
use crate::config_files::SignatureFormat;
use crate::image::{Follow, Tree};
use crate::oci::{Bytes, Descriptor, RawManifest, media, rfc3339};
use crate::reference::Digest;
use crate::registry::{self, Repo};
use crate::trust::{PublicKey, bundle, simple, statement};

/// The result of signing a digest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attached {
    /// The formats that were attached; empty if the signatures existed.
    pub formats: Vec<SignatureFormat>,
    /// The lists of referrers and the manifests of signatures that were replaced.
    pub superseded: Vec<Digest>,
}

/// The manifests to sign of an image: the index and the image of each platform.
pub async fn subjects(repo: &Repo, top: &RawManifest) -> Result<Vec<Descriptor>, registry::Error> {
    let tree = Tree::load(repo, top.clone(), Follow::Images).await?;
    Ok(tree.children_first().map(RawManifest::descriptor).collect())
}

/// The formats in which a digest lacks a signature by `key`, or by any key if none is given.
pub async fn lacking(
    repo: &Repo,
    subject: &Digest,
    key: Option<&PublicKey>,
    formats: &[SignatureFormat],
) -> Result<Vec<SignatureFormat>, registry::Error> {
    let present = present(repo, subject, key, formats).await?;
    let is_absent = |format: &&SignatureFormat| !present.contains(format);
    Ok(formats.iter().filter(is_absent).copied().collect())
}

/// Signs a manifest in each of `formats` in which it has no signature by this key. `now` is in
/// seconds since 1970. Returns once the registry lists all signatures.
pub async fn attach(
    repo: &Repo,
    subject: &Descriptor,
    signer: &Signer,
    formats: &[SignatureFormat],
    now: i64,
) -> Result<Attached, Error> {
    let digest = &subject.digest;
    let formats = lacking(repo, digest, Some(signer.public()), formats).await?;
    let mut superseded = Vec::new();
    for format in &formats {
        match format {
            SignatureFormat::Bundle => {
                superseded.extend(attach_bundle(repo, subject, signer, now).await?);
            }
            SignatureFormat::Simple => {
                superseded.extend(attach_simple(repo, digest, signer).await?);
            }
        }
    }
    Ok(Attached {
        formats,
        superseded,
    })
}

async fn attach_bundle(
    repo: &Repo,
    subject: &Descriptor,
    signer: &Signer,
    now: i64,
) -> Result<Vec<Digest>, Error> {
    let (text, payload) = bundle::to_sign(&subject.digest);
    let signature = signer.sign(&text).await?;
    let content = bundle::bundle(&payload, &signature, signer.public());
    let key = Some(signer.public());
    let (_, superseded) =
        put_bundle(repo, subject, content, statement::SIGNATURE, key, now).await?;
    Ok(superseded)
}

/// Attaches a bundle to `subject`. `now` is in seconds since 1970. Returns the digest of its
/// manifest, and the lists that were replaced.
pub(super) async fn put_bundle(
    repo: &Repo,
    subject: &Descriptor,
    content: Vec<u8>,
    predicate_type: &str,
    key: Option<&PublicKey>,
    now: i64,
) -> Result<(Digest, Vec<Digest>), Error> {
    let manifest = bundle::manifest(&content, subject, predicate_type, key, &rfc3339(now));
    let digest = manifest.digest.clone();
    push(repo, &bundle::empty_config(), bundle::EMPTY.to_vec()).await?;
    push(repo, &Descriptor::of(bundle::BUNDLE, &content), content).await?;
    let superseded = repo
        .put_referrers(&subject.digest, &[(manifest, None)])
        .await?;
    Ok((digest, superseded))
}

async fn attach_simple(
    repo: &Repo,
    digest: &Digest,
    signer: &Signer,
) -> Result<Vec<Digest>, Error> {
    let payload = simple::payload(repo.name(), digest);
    let signature = STANDARD.encode(signer.sign(&payload).await?);
    let mut layer = Descriptor::of(simple::PAYLOAD, &payload);
    layer
        .annotations
        .insert(simple::SIGNATURE.to_owned(), signature);
    push(repo, &layer, payload).await?;
    let tag = simple_tag(digest)?;
    let added = json!({ "schemaVersion": 2, "layers": [layer] }).to_string();
    let added = RawManifest::new(media::OCI_MANIFEST, added.into_bytes());
    match cosign::add(repo, &added, &tag).await? {
        SignatureCopy::Complete(replaced) => Ok(replaced),
        SignatureCopy::Impossible => Err(Error::Occupied(repo.name().tag(&tag))),
        SignatureCopy::Unmerged => Err(Error::Unkept(repo.name().tag(&tag))),
    }
}

async fn push(repo: &Repo, descriptor: &Descriptor, bytes: Vec<u8>) -> Result<(), Error> {
    repo.push_blob(descriptor, &Bytes::from(bytes)).await?;
    Ok(())
}
