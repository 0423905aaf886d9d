//! `golden rollback`: move the moving tags back to an earlier version, and withdraw the later ones
//! in the spec.

use serde::Serialize;

use super::confirm::confirm;
use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::next_steps::{in_workspace, shell_word};
use super::selection::SelectionArgs;
use super::session;
use crate::app::rollback::{FileEdit, PlannedRollback, RollbackRow, target};
use crate::report::{self, OutputFormat};

/// Move the moving tags back to an earlier version, and withdraw the later ones.
///
/// The command adds the later versions to `withdrawn` in `[tags]` of image.toml, so that the next
/// run does not move the tags forward again. It shows the edit as a diff. If stdin or
/// stderr is not a terminal, --yes is required.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Image to roll back, by name or glob.
    pub image: String,
    /// Version to go back to; a revision is written as `1.2.3_r1`.
    #[arg(long, value_name = "VERSION")]
    pub to: String,
    /// Move the tags without editing image.toml.
    #[arg(long)]
    pub no_edit: bool,
    /// Show the edit and the moves without changing anything.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask for confirmation.
    #[arg(long, short)]
    pub yes: bool,
    /// Override a variable of the workspace.
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
}

#[derive(Debug, Serialize)]
struct RollbackDocument<'a> {
    dry_run: bool,
    images: &'a [RollbackRow],
    edits: &'a [FileEdit],
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let version = target(&args.to)?;
    let selection = SelectionArgs::of(vec![args.image.clone()], args.set);
    let session = session::open(context, selection).await?;
    let rollback = PlannedRollback::plan(&session, &args.image, &version, args.no_edit).await?;
    let document = RollbackDocument {
        dry_run: args.dry_run,
        images: &rollback.images,
        edits: &rollback.edits,
    };
    // Text output is shown before the confirmation; JSON is printed after the work.
    if context.format != OutputFormat::Json {
        report::rollback::show(&context.out, &rollback);
    }
    if args.no_edit {
        rollback.warn_of_next_run(&context.events);
    }
    if args.dry_run {
        print_json(&document, context);
        return Ok(Exit::Done);
    }
    if !rollback.is_done() {
        let question = report::rollback::question(&args.image, &version, &rollback);
        confirm(context, args.yes, &question).await?;
    }
    // An earlier run may have been stopped after it moved the tags and before it wrote the receipts.
    rollback.execute(&session).await?;
    let image = shell_word(&args.image);
    if rollback.is_done() {
        let state = report::rollback::nothing_to_move(&image, &version, &rollback);
        context.events.note(None, format!("nothing to do: {state}"));
    } else if context.format != OutputFormat::Json && !args.no_edit {
        let commit = report::rollback::commit_first(&rollback.edits);
        let program = in_workspace(context);
        let next =
            format!("the moving tags point to {version}; next: {commit}{program} verify {image}");
        context.events.note(None, next);
    }
    print_json(&document, context);
    Ok(Exit::Done)
}

fn print_json(document: &RollbackDocument<'_>, context: &Context) {
    if context.format == OutputFormat::Json {
        context.out.json(document);
    }
}
