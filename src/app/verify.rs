//! Checks that tags exist and point to the right images.

use std::collections::BTreeMap;

use super::destinations::Destinations;
use super::error::Error;
use super::names::WorkspaceNames;
use super::published::Requirements;
use super::registries;
use super::session::{Session, check};
use super::settings::Settings;
use super::signatures::SignatureVerifier;
use crate::publish::Receipt;
use crate::reference::{Digest, Reference, Repository, RepositoryPath, Tag, Target};
use crate::registry::{Registries, Repo};
use crate::resolve::{Destination, ResolvedImage};
use crate::tags;
use crate::verify::{self, Difference, VerifyFinding, VerifySubject};
use crate::workspace::state::StateDirectory;

/// True if a text is a reference: it has a tag, a digest or a host. Names of images have none of
/// these.
#[must_use]
pub fn is_reference(text: &str) -> bool {
    let host = |first: &str| first == "localhost" || first.contains('.');
    text.contains([':', '@']) || text.split_once('/').is_some_and(|(first, _)| host(first))
}

/// The depth of a verification.
#[derive(Debug, Default)]
pub struct VerifyRequest {
    /// Also read and hash configs and layers.
    pub deep: bool,
    /// Also verify signatures, with these keys.
    pub signatures: Option<SignatureVerifier>,
    /// The artifacts that published images must have.
    pub requirements: Option<Requirements>,
}

/// The artifacts of a digest, as far as a request requires them.
#[derive(Debug, Clone, Default)]
struct Artifacts {
    signed_by: Option<String>,
    differences: Vec<Difference>,
}

impl VerifyRequest {
    /// Adds the signers, and the differences of signatures and of required artifacts. Each digest is
    /// read once.
    async fn add_artifacts(
        &self,
        registries: &Registries,
        findings: &mut [VerifyFinding],
    ) -> Result<(), Error> {
        let mut known: BTreeMap<(Repository, Digest), Artifacts> = BTreeMap::new();
        for finding in findings {
            let Some(digest) = finding.digest.clone() else {
                continue;
            };
            let place = (finding.repository.clone(), digest);
            let artifacts = if let Some(artifacts) = known.get(&place) {
                artifacts.clone()
            } else {
                self.artifacts(&registries.repo(&place.0), &place.1).await?
            };
            finding.signed_by.clone_from(&artifacts.signed_by);
            finding.differences.extend(artifacts.differences.clone());
            known.insert(place, artifacts);
        }
        Ok(())
    }

    async fn artifacts(&self, repo: &Repo, digest: &Digest) -> Result<Artifacts, Error> {
        let mut artifacts = Artifacts::default();
        if let Some(verifier) = &self.signatures {
            match verifier.verdict(repo, digest).await? {
                Ok(signer) => artifacts.signed_by = Some(signer),
                Err(difference) => artifacts.differences.push(difference),
            }
        }
        if let Some(requirements) = &self.requirements {
            let lacking = requirements.of_digest(repo, digest).await?;
            for problem in lacking {
                let required = Difference::Required { problem };
                // A missing signature has been reported above.
                let text = required.to_string();
                let mut known = artifacts.differences.iter();
                if !known.any(|known| known.to_string() == text) {
                    artifacts.differences.push(required);
                }
            }
        }
        Ok(artifacts)
    }
}

/// Verifies the images of a session. Fails if no registry is configured, or a registry fails.
pub async fn workspace_images(
    session: &Session,
    request: &VerifyRequest,
) -> Result<Vec<VerifyFinding>, Error> {
    session.require_registry()?;
    let registries = registries::of_session(session)?;
    let mut findings = Vec::new();
    for OwnImage { subject, receipts } in images_of(session)? {
        let repo = registries.repo(&subject.repository);
        let receipt = |tag: &Tag| receipts.digest(tag);
        findings.extend(verify::image(&repo, &subject, receipt, request.deep).await?);
    }
    request.add_artifacts(&registries, &mut findings).await?;
    Ok(findings)
}

fn subject(destination: &Destination, image: &ResolvedImage) -> Result<VerifySubject, Error> {
    Ok(VerifySubject {
        repository: destination.repository(&image.name)?,
        version: image.version.clone(),
        variant: image.variant.clone(),
        rules: image.tags.clone(),
        labels: image.labels.clone(),
        complete: true,
    })
}

/// Verifies references, and names of workspace images with a tag or a digest. The rules of the
/// workspace apply to references to its images.
pub async fn named_references(
    settings: Settings,
    destinations: &Destinations,
    names: &WorkspaceNames,
    arguments: &[String],
    request: &VerifyRequest,
) -> Result<Vec<VerifyFinding>, Error> {
    let registries = registries::open(&settings, destinations, &names.with_host(arguments))?;
    let mut references: Vec<Reference> = Vec::new();
    for argument in arguments {
        references.extend(names.references(argument)?);
    }
    let own = own_images(settings).await;
    let mut findings = Vec::new();
    for reference in &references {
        let repo = registries.repo(&reference.repository);
        findings.extend(named_reference(&repo, reference, &own, request.deep).await?);
    }
    request.add_artifacts(&registries, &mut findings).await?;
    Ok(findings)
}

/// An image of the workspace in a registry.
struct OwnImage {
    subject: VerifySubject,
    receipts: Receipts,
}

/// Finds the receipts of an image.
struct Receipts {
    state: StateDirectory,
    registry: String,
    image: RepositoryPath,
    repository: Repository,
}

impl Receipts {
    /// The digest in the receipt of a tag. `None` if the receipt is missing or invalid, or is from
    /// another registry that once had the same name.
    fn digest(&self, tag: &Tag) -> Option<Digest> {
        let receipt = Receipt::read(&self.state, &self.registry, &self.image, tag).ok()??;
        (receipt.repository == self.repository).then_some(receipt.digest)
    }
}

/// The images of the workspace, whose rules apply to references to these images. Empty if there is
/// no valid workspace, because a reference does not need one.
async fn own_images(settings: Settings) -> Vec<OwnImage> {
    let Ok(Some(session)) = check(settings).await.map(|checked| checked.session) else {
        return Vec::new();
    };
    images_of(&session).unwrap_or_default()
}

/// The images of a session, once for each destination.
fn images_of(session: &Session) -> Result<Vec<OwnImage>, Error> {
    let mut images = Vec::new();
    for destination in &session.destinations {
        for image in session.resolved() {
            let subject = subject(destination, image)?;
            let receipts = Receipts {
                state: session.state.clone(),
                registry: destination.name.clone(),
                image: image.name.clone(),
                repository: subject.repository.clone(),
            };
            images.push(OwnImage { subject, receipts });
        }
    }
    Ok(images)
}

async fn named_reference(
    repo: &Repo,
    reference: &Reference,
    own: &[OwnImage],
    deep: bool,
) -> Result<Vec<VerifyFinding>, Error> {
    let (repository, target) = (&reference.repository, reference.target());
    let own: Vec<&OwnImage> = own
        .iter()
        .filter(|own| own.subject.repository == *repository)
        .collect();
    if let Target::Tag(tag) = &target {
        for OwnImage { subject, receipts } in &own {
            let out = tags::fan_out(&subject.version, subject.variant.as_ref(), &subject.rules);
            let Ok(out) = out else { continue };
            if !out.tags.iter().any(|planned| planned.tag == *tag) {
                continue;
            }
            let findings = verify::image(repo, subject, |tag| receipts.digest(tag), deep).await?;
            let findings = about(findings, tag, out.full());
            if !findings.is_empty() {
                return Ok(findings);
            }
        }
    }
    let rules = own
        .first()
        .map(|own| own.subject.rules.clone())
        .unwrap_or_default();
    Ok(verify::reference(repo, &target, &rules, deep).await?)
}

/// The findings about one tag of an image. For the version tag, these are all findings. The version
/// tag also has the findings about the content of the image, so these are included for a tag that
/// points to the same image.
fn about(findings: Vec<VerifyFinding>, tag: &Tag, full: &Tag) -> Vec<VerifyFinding> {
    let digest = findings
        .iter()
        .find(|finding| finding.target == tag.as_str());
    let Some(digest) = digest.map(|finding| finding.digest.clone()) else {
        return Vec::new();
    };
    let is_about = |finding: &VerifyFinding| {
        let is_damage = !finding.differences.is_empty() && finding.target == full.as_str();
        tag == full || finding.target == tag.as_str() || is_damage && finding.digest == digest
    };
    findings.into_iter().filter(is_about).collect()
}
