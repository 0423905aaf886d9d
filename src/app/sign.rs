//! Signs published images.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;

use super::error::Error;
use super::located::manifest_of;
use super::scope::CommandScope;
use crate::config_files::SignatureFormat;
use crate::publish;
use crate::reference::{Digest, Reference};
use crate::registry::Repo;
use crate::signing::Signing;

/// The number of references that are signed concurrently.
const CONCURRENT: usize = 4;

/// An image that has signatures now.
#[derive(Debug, Serialize)]
pub struct SignedImage {
    /// The reference of the image.
    pub reference: Reference,
    /// The digest of the image or index.
    pub digest: Digest,
    /// The signed manifests: the index and the image of each platform.
    pub manifests: Vec<SignedManifest>,
}

/// A manifest that has signatures now.
#[derive(Debug, Serialize)]
pub struct SignedManifest {
    /// The digest of the manifest.
    pub digest: Digest,
    /// The formats that were added; empty if the signatures existed.
    pub added: Vec<SignatureFormat>,
}

/// Signs every reference. Fails if one does not exist or cannot be signed.
pub async fn sign(
    arguments: &[String],
    signing: &Signing,
    scope: &CommandScope,
) -> Result<Vec<SignedImage>, Error> {
    let repos = scope.repos(arguments)?;
    let signed = stream::iter(repos)
        .map(|(repo, reference)| sign_one(repo, reference, signing, scope.settings.now));
    signed.buffered(CONCURRENT).try_collect().await
}

async fn sign_one(
    repo: Repo,
    reference: Reference,
    signing: &Signing,
    now: i64,
) -> Result<SignedImage, Error> {
    let raw = manifest_of(&repo, &reference).await?;
    let manifests = publish::sign(&repo, &raw, signing, now).await?;
    Ok(SignedImage {
        reference,
        digest: raw.digest,
        manifests: manifests
            .into_iter()
            .map(|(digest, added)| SignedManifest { digest, added })
            .collect(),
    })
}
