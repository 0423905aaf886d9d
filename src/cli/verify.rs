//! `golden verify`: check that every tag exists and points to the right image.

use serde::Serialize;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::selection::SelectionArgs;
use super::session;
use super::session::destinations;
use crate::app::Session;
use crate::app::registries;
use crate::app::session::check;
use crate::oci::artifact::ArtifactKind;
use crate::publish::Receipt;
use crate::reference::{Digest, Reference, Repository, RepositoryPath, Tag, Target};
use crate::registry::Repo;
use crate::report::OutputFormat;
use crate::report::table::TextTable;
use crate::resolve::{Destination, ResolvedImage};
use crate::tags;
use crate::verify::{self, VerifyFinding, VerifySubject};
use crate::workspace::state::StateDirectory;

/// Check that every tag exists and points to the right image.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Images of the workspace, or references [default: all images].
    pub subjects: Vec<String>,
    /// Also read and hash configs and layers.
    #[arg(long)]
    pub deep: bool,
    /// Override a variable of the workspace.
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
}

#[derive(Debug, Serialize)]
struct VerifyDocument<'a> {
    findings: &'a [VerifyFinding],
    differences: usize,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let (references, images): (Vec<String>, Vec<String>) = args
        .subjects
        .iter()
        .cloned()
        .partition(|text| is_reference(text));
    let mut findings = Vec::new();
    if !images.is_empty() || references.is_empty() {
        findings.extend(workspace_images(images, args.set, args.deep, context).await?);
    }
    findings.extend(named_references(&references, args.deep, context).await?);
    let differences = findings
        .iter()
        .map(|finding| finding.differences.len())
        .sum();
    match context.format {
        OutputFormat::Json => context.out.json(&VerifyDocument {
            findings: &findings,
            differences,
        }),
        _ => show(&findings, context),
    }
    Ok(if differences == 0 {
        Exit::Done
    } else {
        Exit::Difference
    })
}

/// True if a text is a reference: it has a tag, a digest or a host. Names of images have none of
/// these.
fn is_reference(text: &str) -> bool {
    let host = |first: &str| first == "localhost" || first.contains('.');
    text.contains([':', '@']) || text.split_once('/').is_some_and(|(first, _)| host(first))
}

async fn workspace_images(
    images: Vec<String>,
    set: Vec<String>,
    deep: bool,
    context: &Context,
) -> Result<Vec<VerifyFinding>, Failure> {
    let session = session::open(context, SelectionArgs::of(images, set)).await?;
    session.require_registry()?;
    let registries = registries::of_session(&session)?;
    let mut findings = Vec::new();
    for OwnImage { subject, receipts } in images_of(&session)? {
        let repo = registries.repo(&subject.repository);
        findings.extend(verify::image(&repo, &subject, |tag| receipts.digest(tag), deep).await?);
    }
    Ok(findings)
}

fn subject(destination: &Destination, image: &ResolvedImage) -> Result<VerifySubject, Failure> {
    let repository = destination
        .repository(&image.name)
        .map_err(Failure::usage)?;
    Ok(VerifySubject {
        repository,
        version: image.version.clone(),
        variant: image.variant.clone(),
        rules: image.tags.clone(),
        labels: image.labels.clone(),
        complete: true,
    })
}

async fn named_references(
    references: &[String],
    deep: bool,
    context: &Context,
) -> Result<Vec<VerifyFinding>, Failure> {
    if references.is_empty() {
        return Ok(Vec::new());
    }
    let registries = registries::open(
        &context.settings(),
        &destinations(context).await?,
        references,
    )?;
    let references: Vec<Reference> = references
        .iter()
        .map(|text| text.parse())
        .collect::<Result<_, _>>()
        .map_err(Failure::usage)?;
    let own = own_images(context).await;
    let mut findings = Vec::new();
    for reference in &references {
        let repo = registries.repo(&reference.repository);
        findings.extend(named_reference(&repo, reference, &own, deep).await?);
    }
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
async fn own_images(context: &Context) -> Vec<OwnImage> {
    let Ok(Some(session)) = check(context.settings())
        .await
        .map(|checked| checked.session)
    else {
        return Vec::new();
    };
    images_of(&session).unwrap_or_default()
}

/// The images of a session, once for each destination.
fn images_of(session: &Session) -> Result<Vec<OwnImage>, Failure> {
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
) -> Result<Vec<VerifyFinding>, Failure> {
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

/// The kind of an artifact; empty for an image or an index of images.
fn artifact(finding: &VerifyFinding) -> String {
    let kind = finding.kind.as_ref().filter(|kind| !kind.is_image());
    kind.map(ArtifactKind::to_string).unwrap_or_default()
}

fn show(findings: &[VerifyFinding], context: &Context) {
    let mut table = TextTable::default();
    // A tag has no colon, a digest has one.
    let name = |finding: &VerifyFinding| {
        let mark = if finding.target.contains(':') {
            '@'
        } else {
            ':'
        };
        format!("{}{mark}{}", finding.repository, finding.target)
    };
    for finding in findings {
        let word = if finding.differences.is_empty() {
            "ok"
        } else {
            "differs"
        };
        table.row([
            word.to_owned(),
            name(finding),
            finding
                .digest
                .as_ref()
                .map_or_else(String::new, Digest::to_string),
            artifact(finding),
        ]);
    }
    for finding in findings {
        for difference in &finding.differences {
            context
                .out
                .error(&format!("{}: {difference}", name(finding)));
        }
    }
    context.out.data(&table.to_string());
}
