//! `golden plan`: show what `build --push` would do.

use serde::Serialize;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::selection::SelectionArgs;
use super::{session, unready};
use crate::app::plan::{PlanRequest, PlannedSession, plan};
use crate::app::plan_diff::PlannedDiff;
use crate::engine::EngineKind;
use crate::plan::Plan;
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
    /// Show the difference between each image to build and the published one.
    #[arg(long)]
    pub diff: bool,
    /// Plan a build even if the inputs are unchanged.
    #[arg(long, help_heading = "Build options")]
    pub force: bool,
    /// Fail if golden.lock would have to change.
    #[arg(long, help_heading = "Build options")]
    pub locked: bool,
}

#[derive(Serialize)]
struct PlanReport<'a> {
    #[serde(flatten)]
    plan: &'a Plan,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    diffs: &'a [PlannedDiff],
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let session = session::open(context, args.selection).await?;
    let request = PlanRequest {
        engine: args.engine,
        force: args.force,
        locked: args.locked,
        diff: args.diff,
    };
    let planned = plan(session, &request)
        .await
        .map_err(|error| unready::failure(context, error))?;
    let PlannedSession {
        plan,
        diffs,
        unready,
        sources,
    } = planned;
    if context.format == OutputFormat::Json {
        let (plan, diffs) = (&plan, &diffs[..]);
        context.out.json(&PlanReport { plan, diffs });
    } else {
        let differences = report::plan_differences(&diffs);
        let totals = report::plan_totals(&plan).unwrap_or_default();
        context
            .out
            .data(&format!("{}{differences}{totals}", report::plan(&plan)));
    }
    let missing = !unready.is_empty();
    unready::show(unready, context, &sources);
    Ok(match (missing, plan.has_refusals()) {
        (true, _) => Exit::Failed,
        (false, true) => Exit::Refused,
        (false, false) => Exit::Done,
    })
}
