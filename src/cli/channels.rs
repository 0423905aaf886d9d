//! `golden channels`: show the channels of images and their history.

use serde::Serialize;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::selection::SelectionArgs;
use super::session;
use crate::app::channels::{ChannelChange, ChannelRow, channels, history};
use crate::app::registries;
use crate::report::{self, OutputFormat};

/// Show the channels of images, and the versions that they point to.
///
/// `build --push` and `push` move the channels that are behind.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Images of the workspace.
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// Show the changes of the channels in git, newest first.
    #[arg(long)]
    pub history: bool,
}

#[derive(Serialize)]
struct ChannelsDocument<'a> {
    channels: &'a [ChannelRow],
}

#[derive(Serialize)]
struct HistoryDocument<'a> {
    history: &'a [ChannelChange],
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let session = session::open(context, args.selection).await?;
    let is_json = context.format == OutputFormat::Json;
    if args.history {
        let history = history(&session).await?;
        if is_json {
            context.out.json(&HistoryDocument { history: &history });
        } else {
            report::channel_history(&context.out, &history);
        }
        return Ok(Exit::Done);
    }
    session.require_registry()?;
    let registries = registries::of_session(&session)?;
    let rows = channels(&session, &registries).await?;
    if is_json {
        context.out.json(&ChannelsDocument { channels: &rows });
    } else {
        report::channels(&context.out, &rows);
    }
    Ok(Exit::Done)
}
