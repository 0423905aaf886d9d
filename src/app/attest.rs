//! Attaches signed statements to published images.

use serde::Serialize;
use serde_json::Value;

use super::destinations::Destinations;
use super::error::Error;
use super::located::manifest_of;
use super::names::WorkspaceNames;
use super::registries;
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
    /// The reference.
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

/// The image of an argument, and the handles to access it.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The reference, or the name of a workspace image.
    pub argument: &'a str,
    /// The names of the workspace images.
    pub names: &'a WorkspaceNames,
    /// The settings.
    pub settings: &'a Settings,
    /// The selected registries.
    pub destinations: &'a Destinations,
}

/// Reads a predicate from a JSON file. Fails if it is not JSON, or larger than 64 MiB.
pub fn predicate(settings: &Settings, file: &std::path::Path) -> Result<Value, Error> {
    let text = fs::read_up_to(&settings.cwd.join(file), MOST_BUNDLE_BYTES)?;
    serde_json::from_slice(&text)
        .map_err(|error| Error::invalid(format!("{} is not valid JSON: {error}", file.display())))
}

/// Signs a claim about the manifest that a reference points to, and attaches it; in each selected
/// registry if the argument names a workspace image. Fails if the type is that of a signature.
pub async fn attest(
    subject: Subject<'_>,
    signer: &Signer,
    claim: Claim<'_>,
) -> Result<Vec<Attested>, Error> {
    let predicate_type = claim.predicate_type;
    if predicate_type == statement::SIGNATURE {
        let message = format!("{predicate_type} is the type of a signature, not of an attestation");
        return Err(Error::invalid(message).hint("use `golden sign`"));
    }
    let now = subject.settings.now;
    let mut attested = Vec::new();
    for (repo, reference, descriptor) in subject.find().await? {
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
pub async fn attach(subject: Subject<'_>, file: &std::path::Path) -> Result<Vec<Attested>, Error> {
    let content = fs::read_up_to(&subject.settings.cwd.join(file), MOST_BUNDLE_BYTES)?;
    let mut attached = Vec::new();
    for (repo, reference, descriptor) in subject.find().await? {
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
            subject.settings.now,
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

impl Subject<'_> {
    /// The manifests that the argument points to, each with its repository.
    async fn find(&self) -> Result<Vec<(Repo, Reference, Descriptor)>, Error> {
        let arguments = [self.argument.to_owned()];
        let hosts = self.names.with_host(&arguments);
        let registries = registries::open(self.settings, self.destinations, &hosts)?;
        let mut found = Vec::new();
        for reference in self.names.references(self.argument)? {
            let repo = registries.repo(&reference.repository);
            let descriptor = manifest_of(&repo, &reference).await?.descriptor();
            found.push((repo, reference, descriptor));
        }
        Ok(found)
    }
}
