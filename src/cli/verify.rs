//! `golden verify`: check that every tag exists and points to the right image.

use serde::Serialize;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::selection::SelectionArgs;
use super::session::{self, destinations, names};
use crate::app::verify::{is_reference, named_references, workspace_images};
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
    let mut findings = Vec::new();
    if !images.is_empty() || references.is_empty() {
        let session = session::open(context, SelectionArgs::of(images, args.set)).await?;
        findings.extend(workspace_images(&session, args.deep).await?);
    }
    if !references.is_empty() {
        let destinations = destinations(context).await?;
        let names = names(context, &destinations, &references).await?;
        let settings = context.settings();
        let found = named_references(settings, &destinations, &names, &references, args.deep);
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
