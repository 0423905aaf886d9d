//! `golden matrix`: print the build as waves of CI jobs.

use serde::Serialize;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::selection::SelectionArgs;
use super::session;
use crate::app::waves::{MatrixJob, waves};
use crate::report::OutputFormat;
use crate::report::waves::{github, gitlab};

/// Print the build as waves of CI jobs.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The images that get jobs; with --changed, also the images that are built on them.
    #[command(flatten)]
    pub selection: SelectionArgs,
}

#[derive(Serialize)]
struct Waves {
    waves: Vec<Vec<MatrixJob>>,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let mut selection = args.selection;
    let selected_alone = selection.changed.is_some();
    selection.with_dependants |= selected_alone;
    let session = session::open(context, selection).await?;
    let waves = waves(&session, selected_alone);
    match context.format {
        OutputFormat::Json => context.out.json(&Waves { waves }),
        OutputFormat::Gitlab => context.out.data(&gitlab(&waves)),
        _ => context.out.data(&github(&waves)),
    }
    Ok(Exit::Done)
}
