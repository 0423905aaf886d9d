//! `golden bump`: write the next version of images into their specs.

use serde::Serialize;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::next_steps::{in_workspace, shell_word};
use super::selection::SelectionArgs;
use super::{session, unready};
use crate::app::bump::{Bumped, NextVersion, bump, bump_stale};
use crate::report::OutputFormat;
use crate::report::table::TextTable;
use crate::suggest::closest;

/// Write the next version of images into their image.toml. Comments and layout are kept.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Images by name or glob, then `patch`, `minor`, `major` or a version.
    #[arg(required = true, value_name = "IMAGE… VERSION")]
    pub words: Vec<String>,
    /// Only images whose published content differs from their spec [default: all images].
    #[arg(long)]
    pub stale: bool,
    /// Override a variable of the workspace.
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
}

/// The JSON output.
#[derive(Serialize)]
struct BumpReport {
    images: Vec<Bumped>,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let mut images = args.words;
    let word = images.pop().unwrap_or_default();
    let next: NextVersion = word.parse().map_err(|error| {
        let failure = Failure::usage(error);
        let is_number = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
        let named: Vec<String> = images.iter().map(|image| shell_word(image)).collect();
        let named = match named.as_slice() {
            [] if args.stale => "--stale".to_owned(),
            names if args.stale => format!("--stale {}", names.join(" ")),
            [] if is_number(word.trim_start_matches(['v', 'V'])) => "IMAGE".to_owned(),
            [] => shell_word(&word),
            names => names.join(" "),
        };
        let keyword = closest(&word.to_lowercase(), ["patch", "minor", "major"]);
        failure.hint(format!(
            "the last argument is patch, minor, major or a version: golden bump {named} {}",
            keyword.unwrap_or("patch")
        ))
    })?;
    if images.is_empty() && !args.stale {
        return Err(Failure::usage("no image is named").hint(format!(
            "golden bump IMAGE {word}, or golden bump --stale {word}"
        )));
    }
    let session = session::open(context, SelectionArgs::of(images, args.set)).await?;
    let can_push = !session.destinations.is_empty();
    let bumped = if args.stale {
        let (bumped, planned) = bump_stale(session, &next)
            .await
            .map_err(|error| unready::failure(context, error))?;
        if !planned.unready.is_empty() {
            unready::show(planned.unready, context, &planned.sources);
            return Err(Failure::shown(Exit::Failed));
        }
        bumped
    } else {
        bump(&session, &next)?
    };
    if context.format == OutputFormat::Json {
        context.out.json(&BumpReport { images: bumped });
        return Ok(Exit::Done);
    }
    if bumped.is_empty() {
        let message = "every image is published as its spec describes it";
        context.out.message(message);
    }
    let mut table = TextTable::default();
    for one in &bumped {
        table.row([
            one.image.to_string(),
            format!("{} → {}", one.from, one.to),
            one.file.display().to_string(),
        ]);
    }
    context.out.data(&table.to_string());
    if !bumped.is_empty() {
        let push = if can_push { " --push" } else { "" };
        let next = format!("next: {} build{push}", in_workspace(context));
        context.events.note(None, next);
    }
    Ok(Exit::Done)
}
