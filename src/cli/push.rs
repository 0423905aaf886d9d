//! `golden push`: publish the built images.

use super::build::{execute, jobs, max_in_progress, prepare};
use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::finish::finish;
use super::selection::SelectionArgs;
use crate::app::pipeline::{Goal, Options};
use crate::app::prepare::{RunRequest, logins};

/// Publish the built images.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The images to publish.
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// Move no tag before all images are uploaded.
    #[arg(long)]
    pub atomic: bool,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let request = RunRequest {
        engine: None,
        goal: Goal::Publish,
        force: false,
        locked: false,
        lock_new: false,
    };
    let mut prepared = prepare(context, args.selection, &request).await?;
    if args.atomic {
        crate::app::unready::refuse_any(&prepared.unready)?;
    }
    let options = Options {
        push: true,
        atomic: args.atomic,
        only_push: true,
        rebuild: false,
        jobs: jobs(None),
        max_in_progress: max_in_progress(None),
        secrets: std::collections::BTreeMap::new(),
        no_cache: false,
        load: false,
        keep_built: false,
        proxy_args: std::collections::BTreeMap::new(),
        logins: logins(&prepared).await?,
    };
    let mut ended = execute(context, &mut prepared, &options).await;
    Ok(finish(context, &prepared.session.sources, &mut ended, &[]))
}
