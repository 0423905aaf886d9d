//! `golden plan`: show what `build --push` would do.

use std::fmt::Write as _;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::selection::SelectionArgs;
use super::session;
use super::unready;
use crate::app::pipeline::{Engines, Goal, choose};
use crate::app::prepare::{requested_engine, require_locked, survey_ready};
use crate::app::registries;
use crate::app::work::Planned;
use crate::engine::EngineKind;
use crate::engine::docker::DockerEnv;
use crate::plan::{Plan, PlanOptions, PlanStep, PlannedAction, PlannedImage, PlannedMove};
use crate::report::OutputFormat;
use crate::report::table::TextTable;

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
    let mut session = session::open(context, args.selection).await?;
    require_locked(&session, args.locked)?;
    let registries = registries::of_session(&session)?;
    let embedded = session.embedded(registries.clone());
    let engines = Engines::new(DockerEnv::from_vars(&context.env), embedded);
    let options = PlanOptions {
        destinations: session.destinations.clone(),
        force: args.force,
    };
    let (planned, unready) = survey_ready(&mut session, &registries, &engines, &options)
        .await
        .map_err(|error| unready::failure(context, error))?;
    let goal = if options.destinations.is_empty() {
        Goal::Local
    } else {
        Goal::Publish
    };
    let requested = requested_engine(&session, args.engine);
    let mut images = Vec::with_capacity(planned.len());
    for Planned {
        recipe, mut step, ..
    } in planned
    {
        if step.step.is_build() {
            let choice = choose(requested, goal, &recipe.image, async || {
                engines.docker_answers().await
            })
            .await;
            step.engine = Some(choice.engine.as_str().to_owned());
        }
        images.push(step);
    }
    let plan = Plan { images };
    match context.format {
        OutputFormat::Json => context.out.json(&plan),
        _ => context.out.data(&text(&plan)),
    }
    let missing = !unready.is_empty();
    unready::show(unready, context, &session.sources);
    Ok(match (missing, plan.has_refusals()) {
        (true, _) => Exit::Failed,
        (false, true) => Exit::Refused,
        (false, false) => Exit::Done,
    })
}

fn text(plan: &Plan) -> String {
    let mut text = String::new();
    for image in &plan.images {
        // Writing into a String cannot fail.
        let _ = write_image(&mut text, image);
    }
    text
}

fn write_image(text: &mut String, image: &PlannedImage) -> std::fmt::Result {
    let step = match &image.step {
        PlanStep::Build { .. } => "build",
        PlanStep::Skip { .. } => "skip",
        PlanStep::Retag { .. } => "retag",
        PlanStep::Copy { .. } => "copy",
        PlanStep::Refuse { .. } => "refuse",
    };
    writeln!(
        text,
        "{}  {step}: {}",
        image.image,
        image.step.because().join("; ")
    )?;
    if let PlanStep::Refuse { help, .. } = &image.step {
        for help in help {
            writeln!(text, "  help: {help}")?;
        }
    }
    if let Some(next) = &image.withdrawn {
        writeln!(text, "  help: the next free version is {next}")?;
    }
    if let Some(base) = &image.blocked_by {
        writeln!(text, "  help: raise the version of {base}")?;
    }
    if image.publish != image.version {
        writeln!(text, "  as {}", image.publish)?;
    }
    match &image.base {
        Some(base) => match &base.digest {
            Some(digest) => writeln!(text, "  base {}@{digest}", base.name)?,
            None => writeln!(text, "  base {}", base.name)?,
        },
        None => writeln!(text, "  base scratch")?,
    }
    if let Some(engine) = &image.engine {
        writeln!(text, "  engine {engine}")?;
    }
    if let PlanStep::Copy { from, digest, .. } = &image.step {
        writeln!(text, "  from {from}@{digest}")?;
    }
    for destination in &image.destinations {
        writeln!(text, "  {}", destination.repository)?;
        let mut table = TextTable::default();
        for planned in &destination.tags {
            table.row([
                String::new(),
                String::new(),
                action_name(planned.action).to_owned(),
                planned.tag.to_string(),
                moved(planned),
            ]);
        }
        write!(text, "{table}")?;
    }
    Ok(())
}

const fn action_name(action: PlannedAction) -> &'static str {
    match action {
        PlannedAction::Create => "create",
        PlannedAction::Move => "move",
        PlannedAction::Same => "same",
        PlannedAction::Keep => "keep",
        PlannedAction::Refuse => "refuse",
    }
}

fn moved(planned: &PlannedMove) -> String {
    match (planned.action, &planned.from, &planned.to) {
        (PlannedAction::Move, Some(from), Some(to)) => format!("{from} → {to}"),
        (PlannedAction::Create | PlannedAction::Same | PlannedAction::Move, _, to) => {
            to.clone().unwrap_or_default()
        }
        (PlannedAction::Keep, Some(from), _) => format!("{from} ({})", planned.because),
        (PlannedAction::Keep | PlannedAction::Refuse, ..) => planned.because.clone(),
    }
}
