//! Attaches signed statements to published images.

use serde::Serialize;
use serde_json::Value;

use super::error::Error;
use super::located::manifest_of;
use super::scope::CommandScope;
use super::settings::Settings;
use crate::oci::Descriptor;
use crate::publish;
use crate::reference::{Digest, Reference};
use crate::registry::Repo;
use crate::signing::attest::MOST_BUNDLE_BYTES;
use crate::signing::{Claim, Signer};
use crate::trust::{bundle, statement};
use crate::workspace::fs;

/// A statement that is attached to an image.
#[derive(Debug, Serialize)]
pub struct Attested {
    /// The reference of the image.
    pub reference: Reference,
    /// The digest that the statement is about.
    pub digest: Digest,
    /// The URI of the type of the statement.
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// The digest of the manifest that was added; absent if the statement was attached before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub added: Option<Digest>,
}

/// Reads a predicate from a JSON file. Fails if it is not JSON, or larger than 64 MiB.
pub fn predicate(settings: &Settings, file: &std::path::Path) -> Result<Value, Error> {
    let text = fs::read_up_to(&settings.cwd.join(file), MOST_BUNDLE_BYTES)?;
    serde_json::from_slice(&text)
        .map_err(|error| Error::invalid(format!("{} is not valid JSON: {error}", file.display())))
}

/// Signs a claim about the manifests that references point to, and attaches it; in each selected
/// registry if an argument names a workspace image. Fails if the type is that of a signature.
pub async fn attest(
    arguments: &[String],
    scope: &CommandScope,
    signer: &Signer,
    claim: Claim<'_>,
) -> Result<Vec<Attested>, Error> {
    let predicate_type = claim.predicate_type;
    if predicate_type == statement::SIGNATURE {
        let message = format!("{predicate_type} is the type of a signature, not of an attestation");
        return Err(Error::invalid(message).hint("use `golden sign`"));
    }
    let now = scope.settings.now;
    let mut attested = Vec::new();
    for (repo, reference, descriptor) in find(arguments, scope).await? {
        let added = publish::attest(&repo, &descriptor, signer, claim, now).await?;
        attested.push(Attested {
            reference,
            digest: descriptor.digest,
            predicate_type: predicate_type.to_owned(),
            added,
        });
    }
    Ok(attested)
}

/// Attaches a bundle that another program made, such as a signature without a key. Fails if it is
/// not a Sigstore bundle about the manifest that the reference points to.
pub async fn attach(
    arguments: &[String],
    scope: &CommandScope,
    file: &std::path::Path,
) -> Result<Vec<Attested>, Error> {
    let content = fs::read_up_to(&scope.settings.cwd.join(file), MOST_BUNDLE_BYTES)?;
    let mut attached = Vec::new();
    for (repo, reference, descriptor) in find(arguments, scope).await? {
        let (predicate_type, _) =
            bundle::enclosed(&content, &descriptor.digest).map_err(|refusal| {
                let file = file.display();
                Error::invalid(format!(
                    "{file} cannot be attached to {reference}: the bundle {refusal}"
                ))
            })?;
        let added = publish::attach_bundle(
            &repo,
            &descriptor,
            content.clone(),
            &predicate_type,
            scope.settings.now,
        )
        .await?;
        attached.push(Attested {
            reference,
            digest: descriptor.digest,
            predicate_type,
            added,
        });
    }
    Ok(attached)
}

/// The manifests that arguments point to, each with its repository.
async fn find(
    arguments: &[String],
    scope: &CommandScope,
) -> Result<Vec<(Repo, Reference, Descriptor)>, Error> {
    let mut found = Vec::new();
    for (repo, reference) in scope.repos(arguments)? {
        let descriptor = manifest_of(&repo, &reference).await?.descriptor();
        found.push((repo, reference, descriptor));
    }
    Ok(found)
}
