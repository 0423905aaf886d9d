//! `golden push`: publish the built images.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::selection::SelectionArgs;
use super::{next_steps, session, unready};
use crate::app::build::push;

/// Publish the built images.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The images to publish.
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// Move no moving tag, such as `latest`, before all images are uploaded.
    #[arg(long)]
    pub atomic: bool,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let session = session::open(context, args.selection).await?;
    let mut built = push(session, args.atomic)
        .await
        .map_err(|error| unready::failure(context, error))?;
    let exit = next_steps::summarise(context, &mut built).await;
    Ok(exit)
}
