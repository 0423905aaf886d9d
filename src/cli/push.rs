//! `golden push`: publish what was built.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;

/// Publish what was built.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Images to publish, by name or glob; all without.
    pub images: Vec<String>,
    /// Move no tag before all images are uploaded.
    #[arg(long)]
    pub atomic: bool,
    /// Set a variable of the workspace.
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
}

/// Runs the command.
#[expect(clippy::unused_async, reason = "not yet")]
pub async fn run(_args: Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::usage("`golden push` is not there yet"))
}
