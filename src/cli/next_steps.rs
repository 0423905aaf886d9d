//! The end of a run: its outcome, and the next steps that `golden build` suggests.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use crate::app::build::FinishedBuild;
use crate::app::channels::ChannelRow;
use crate::app::pipeline::{ImageOutcome, ImageReport};
use crate::app::prepare::Prepared;
use crate::app::published_diff::published_diffs;
use crate::plan::ChannelState;
use crate::report::{self, OutputFormat, step_summary};
use crate::workspace::fs;

/// Shows the outcome of a run, and returns its exit code.
pub(super) async fn summarise(context: &Context, built: &mut FinishedBuild) -> Exit {
    let exit = Exit::of(&built.ended);
    github(context, built).await;
    report::summary(&context.out, context.format, context.globals.quiet, built);
    let channels = std::mem::replace(&mut built.channels, Ok(Vec::new()));
    let exit_of_channels = match channels {
        Ok(rows) => {
            report::moved_channels(&context.out, &rows);
            let is_refused = |row: &ChannelRow| matches!(row.state, ChannelState::Refused(_));
            if rows.iter().any(is_refused) {
                Exit::Refused
            } else {
                Exit::Done
            }
        }
        Err(error) => {
            let failure = Failure::from(error);
            failure.show(context);
            failure.exit
        }
    };
    if exit == Exit::Done {
        exit_of_channels
    } else {
        exit
    }
}

/// Writes the summary and the outputs of a step of GitHub Actions. A failure is a warning.
async fn github(context: &Context, built: &FinishedBuild) {
    if context.var("GITHUB_ACTIONS") != Some("true") {
        return;
    }
    let FinishedBuild {
        prepared, ended, ..
    } = built;
    append(context, "GITHUB_OUTPUT", async || {
        step_summary::outputs(&ended.reports)
    })
    .await;
    append(context, "GITHUB_STEP_SUMMARY", async || {
        let diffs = published_diffs(prepared, ended).await;
        let differences = step_summary::differences(diffs.as_deref());
        let table = step_summary::markdown(&ended.reports, ended.elapsed);
        format!("{table}{differences}")
    })
    .await;
}

/// Appends a text to the file that a variable names, if it is set.
async fn append(context: &Context, variable: &str, text: impl AsyncFnOnce() -> String) {
    let Some(file) = context.var(variable) else {
        return;
    };
    let text = text().await;
    if let Err(error) = fs::append(&context.cwd.join(file), text.as_bytes()) {
        context.events.warn(None, format!("{variable}: {error}"));
    }
}

/// Shows the places that images were written to.
pub(super) fn written(context: &Context, places: &[String]) {
    for place in places {
        context.events.note(None, format!("written to {place}"));
        context
            .events
            .note(None, format!("next: {}", view_command(context, place)));
    }
}

/// A command that shows the written image. It needs no tool that may be missing.
fn view_command(context: &Context, place: &str) -> String {
    match place.strip_prefix("docker-archive:") {
        Some(file) => format!("docker load -i {}", shell_word(file)),
        None => format!(
            "{} inspect {}",
            shell_word(&context.program),
            shell_word(place)
        ),
    }
}

/// Quotes a word for a shell, if necessary.
pub(super) fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@,=%".contains(c);
    if text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// golden with the `-w` of this run.
pub(super) fn in_workspace(context: &Context) -> String {
    match &context.globals.workspace {
        Some(directory) => format!("golden -w {}", shell_word(&directory.display().to_string())),
        None => "golden".to_owned(),
    }
}

/// The command that publishes the selected images.
fn push_command(context: &Context, prepared: &Prepared) -> String {
    let program = in_workspace(context);
    // Without names, the command publishes all images of the workspace.
    if prepared.work.iter().all(|work| work.selected) && prepared.work.len() > 1 {
        return format!("{program} push");
    }
    let mut names: Vec<String> = prepared
        .work
        .iter()
        .filter(|work| work.selected)
        .map(|work| work.recipe.image.name.to_string())
        .collect();
    names.dedup();
    format!("{program} push {}", names.join(" "))
}

/// Shows the next steps for the built images.
pub(super) fn built(context: &Context, built: &FinishedBuild) {
    if context.format != OutputFormat::Text || context.globals.quiet {
        return;
    }
    let FinishedBuild {
        prepared, ended, ..
    } = built;
    let is_built = |report: &&ImageReport| report.outcome == ImageOutcome::Built;
    let built: Vec<&ImageReport> = ended.reports.iter().filter(is_built).collect();
    if !prepared.session.destinations.is_empty() {
        if !built.is_empty() {
            let command = push_command(context, prepared);
            context
                .events
                .note(None, format!("publish exactly this: {command}"));
        }
        return;
    }
    if let Some(name) = ended.reports.iter().find_map(|report| report.local.first()) {
        context
            .events
            .note(None, format!("next: docker image inspect {name}"));
    }
    if !built.is_empty() {
        let program = in_workspace(context);
        context.events.note(
            None,
            format!("publish it: {program} build --push --registry HOST[:PORT][/NAMESPACE]"),
        );
    }
}
