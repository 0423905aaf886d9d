//! `golden plan`: show what `build --push` would do.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::selection::SelectionArgs;
use super::{session, unready};
use crate::app::plan::{PlanRequest, PlannedSession, plan};
use crate::engine::EngineKind;
use crate::report::{self, OutputFormat};

/// Show what `build --push` would do.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The images to plan.
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// Engine to build with [default: chosen for each image].
    #[arg(long, value_name = "ENGINE", help_heading = "Build options")]
    pub engine: Option<EngineKind>,
    /// Plan a build even if the inputs are unchanged.
    #[arg(long, help_heading = "Build options")]
    pub force: bool,
    /// Fail if golden.lock would have to change.
    #[arg(long, help_heading = "Build options")]
    pub locked: bool,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let session = session::open(context, args.selection).await?;
    let request = PlanRequest {
        engine: args.engine,
        force: args.force,
        locked: args.locked,
    };
    let planned = plan(session, &request)
        .await
        .map_err(|error| unready::failure(context, error))?;
    let PlannedSession {
        plan,
        unready,
        sources,
    } = planned;
    match context.format {
        OutputFormat::Json => context.out.json(&plan),
        _ => context.out.data(&report::plan(&plan)),
    }
    let missing = !unready.is_empty();
    unready::show(unready, context, &sources);
    Ok(match (missing, plan.has_refusals()) {
        (true, _) => Exit::Failed,
        (false, true) => Exit::Refused,
        (false, false) => Exit::Done,
    })
}
