//! `golden verify`: check that every tag exists and points to the right image.

use std::path::PathBuf;

use serde::Serialize;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::selection::SelectionArgs;
use super::session::{self, destinations_of, names};
use crate::app::published::Requirements;
use crate::app::signatures::SignatureVerifier;
use crate::app::verify::{VerifyRequest, is_reference, named_references, workspace_images};
use crate::report::{self, OutputFormat};
use crate::verify::VerifyFinding;

/// Check that every tag exists and points to the right image.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Images of the workspace, or references [default: all images].
    pub subjects: Vec<String>,
    /// Also read and hash configs and layers.
    #[arg(long)]
    pub deep: bool,
    /// Also require a signature by a trusted key: one of `[[trust]]`, else the signing key.
    #[arg(long)]
    pub signed: bool,
    /// Public key that must have signed the images.
    #[arg(long, value_name = "FILE", requires = "signed")]
    pub key: Option<PathBuf>,
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
        .into_iter()
        .partition(|text| is_reference(text));
    let session = if !images.is_empty() || references.is_empty() {
        Some(session::open(context, SelectionArgs::of(images, args.set)).await?)
    } else {
        None
    };
    let alone = match &session {
        Some(_) => None,
        None => session::workspace(context).await?,
    };
    let workspace = session
        .as_ref()
        .map(|session| &session.workspace)
        .or(alone.as_ref());
    let settings = context.settings();
    let signatures = if args.signed {
        Some(SignatureVerifier::of(&settings, workspace, args.key.as_deref()).await?)
    } else {
        None
    };
    let requirements = workspace.map(Requirements::of).transpose()?.flatten();
    let request = VerifyRequest {
        deep: args.deep,
        signatures,
        requirements: requirements.filter(|all| !all.only_warns),
    };
    let mut findings = Vec::new();
    if let Some(session) = &session {
        findings.extend(workspace_images(session, &request).await?);
    }
    if !references.is_empty() {
        let destinations = destinations_of(context, workspace)?;
        let names = names(context, &destinations, &references).await?;
        let found = named_references(settings, &destinations, &names, &references, &request);
        findings.extend(found.await?);
    }
    let differences = findings
        .iter()
        .map(|finding| finding.differences.len())
        .sum();
    match context.format {
        OutputFormat::Json => context.out.json(&VerifyDocument {
            findings: &findings,
            differences,
        }),
        _ => report::verified(&context.out, &findings),
    }
    Ok(if differences == 0 {
        Exit::Done
    } else {
        Exit::Difference
    })
}
