//! `golden prune`: delete old versions from the registry by retention rules.

use serde::Serialize;

use super::confirm::confirm;
use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::selection::SelectionArgs;
use super::session::{self, destinations};
use crate::app::prune::{PlannedPruning, PruneSubjects, rules};
use crate::publish::delete::Deleted;
use crate::publish::prune::Pruning;
use crate::report::{OutputFormat, deletion, pruning};

/// Delete old versions from the registry by retention rules.
///
/// A digest that a moving tag points to is never deleted, nor a digest that a kept version shares.
/// With --keep N, a pre-release is deleted only if at least N stable versions are higher.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Images of the workspace, or repositories [default: all images].
    pub subjects: Vec<String>,
    /// Keep at least this many of the highest stable versions.
    #[arg(long, value_name = "N")]
    pub keep: Option<usize>,
    /// Delete only versions that are older than AGE: 30d, 12h, 8w.
    #[arg(long, value_name = "AGE")]
    pub older_than: Option<String>,
    /// Show the deletions without deleting anything.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask for confirmation.
    #[arg(long, short)]
    pub yes: bool,
    /// Override a variable of the workspace.
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
}

/// The JSON output.
#[derive(Serialize)]
struct PruneOutput<'a> {
    dry_run: bool,
    repositories: &'a [Pruning],
    deleted: &'a [Deleted],
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let rules = rules(args.keep, args.older_than.as_deref(), context.now)?;
    let mut subjects = PruneSubjects::parse(&args.subjects)?;
    let destinations = if subjects.needs_workspace() {
        let selection = SelectionArgs::of(subjects.images.clone(), args.set);
        let session = session::open(context, selection).await?;
        subjects.add_images(&session)?;
        session.known_destinations()
    } else {
        destinations(context).await?
    };
    let settings = context.settings();
    let planned =
        PlannedPruning::plan(&subjects, rules, &args.subjects, &settings, &destinations).await?;
    let mut deleted = Vec::new();
    if !args.dry_run && planned.digests() > 0 {
        for one in &planned.prunings {
            pruning::attached_to_versions(&context.out, one, "to delete");
        }
        confirm(context, args.yes, &pruning::question(&planned)).await?;
        deleted = planned.execute().await?;
    }
    if context.format == OutputFormat::Json {
        context.out.json(&PruneOutput {
            dry_run: args.dry_run,
            repositories: &planned.prunings,
            deleted: &deleted,
        });
        return Ok(Exit::Done);
    }
    pruning::prunings(&context.out, &planned.prunings, args.dry_run);
    if !deleted.is_empty() {
        deletion::garbage_collection(&context.out);
    }
    Ok(Exit::Done)
}
