//! Shows a plan as text.

use std::fmt::Write as _;

use super::table::TextTable;
use super::text::count;
use crate::plan::{
    ChannelAction, Plan, PlanStep, PlannedAction, PlannedChannel, PlannedImage, PlannedMove, joined,
};

/// The plan as text.
#[must_use]
pub fn plan(plan: &Plan) -> String {
    let mut text = String::new();
    for image in &plan.images {
        // Writing into a String cannot fail.
        let _ = write_image(&mut text, image);
    }
    text
}

/// The number of images of each step, such as `12 images: 3 to build, 9 to skip`, as a line. `None`
/// for a single image.
#[must_use]
pub fn plan_totals(plan: &Plan) -> Option<String> {
    if plan.images.len() < 2 {
        return None;
    }
    let steps = STEPS.map(|step| {
        let images = plan.images.iter();
        let number = images.filter(|image| step_name(&image.step) == step);
        (number.count(), step)
    });
    let steps = steps.into_iter().filter(|(number, _)| *number > 0);
    let steps: Vec<String> = steps
        .map(|(number, step)| match step {
            "refuse" => format!("{number} refused"),
            step => format!("{number} to {step}"),
        })
        .collect();
    let images = count(plan.images.len(), "image");
    Some(format!("{images}: {}\n", steps.join(", ")))
}

/// The names of the steps, in the order of the totals.
const STEPS: [&str; 6] = ["build", "copy", "retag", "attach", "skip", "refuse"];

const fn step_name(step: &PlanStep) -> &'static str {
    match step {
        PlanStep::Build { .. } => "build",
        PlanStep::Skip { .. } => "skip",
        PlanStep::Retag { .. } => "retag",
        PlanStep::Attach { .. } => "attach",
        PlanStep::Copy { .. } => "copy",
        PlanStep::Refuse { .. } => "refuse",
    }
}

fn write_image(text: &mut String, image: &PlannedImage) -> std::fmt::Result {
    writeln!(
        text,
        "{}  {}: {}",
        image.image,
        step_name(&image.step),
        joined(image.step.because(), "; ")
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
        for artifact in &destination.attach {
            let attach = format!("attach {artifact}");
            table.row([String::new(), String::new(), attach]);
        }
        write!(text, "{table}")?;
    }
    write_channels(text, &image.channels)
}

/// Writes the channels below their repositories.
fn write_channels(text: &mut String, channels: &[PlannedChannel]) -> std::fmt::Result {
    for channels in channels.chunk_by(|a, b| a.repository == b.repository) {
        let mut table = TextTable::default();
        for one in channels {
            table.row([
                String::new(),
                String::new(),
                one.action.as_str().to_owned(),
                one.channel.to_string(),
                channel_move(one),
            ]);
        }
        if let Some(one) = channels.first() {
            write!(text, "  channels of {}\n{table}", one.repository)?;
        }
    }
    Ok(())
}

fn channel_move(one: &PlannedChannel) -> String {
    let to = one.to.as_deref().unwrap_or(&one.target);
    let text = match &one.from {
        Some(from) if one.action != ChannelAction::Same => format!("{from} → {to}"),
        _ => to.to_owned(),
    };
    match &one.because {
        Some(because) => format!("{text} ({because})"),
        None => text,
    }
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
        (PlannedAction::Keep | PlannedAction::Refuse, ..) => planned.because.to_string(),
    }
}
