//! `golden verify`: check that every tag exists and points to the right image.

use serde::Serialize;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::selection::SelectionArgs;
use super::session::{self, destinations, names};
use crate::app::verify::{is_reference, named_references, workspace_images};
use crate::oci::artifact::ArtifactKind;
use crate::reference::Digest;
use crate::report::OutputFormat;
use crate::report::table::TextTable;
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
        _ => show(&findings, context),
    }
    Ok(if differences == 0 {
        Exit::Done
    } else {
        Exit::Difference
    })
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
