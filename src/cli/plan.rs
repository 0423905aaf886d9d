//! `golden plan`: show what `build --push` would do.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use crate::engine::EngineKind;

/// Show what `build --push` would do.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Images to plan, by name or glob; all without.
    pub images: Vec<String>,
    /// Set a variable of the workspace.
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// Which engine would build.
    #[arg(long, value_name = "ENGINE")]
    pub engine: Option<EngineKind>,
    /// Plan to build in spite of equal inputs.
    #[arg(long)]
    pub force: bool,
    /// Refuse to change golden.lock.
    #[arg(long)]
    pub locked: bool,
    /// Only images that changed since this commit.
    #[arg(long, value_name = "SINCE")]
    pub changed: Option<String>,
    /// Also the images that are built on the selected ones.
    #[arg(long)]
    pub with_dependants: bool,
}

/// Runs the command.
#[expect(clippy::unused_async, reason = "not yet")]
pub async fn run(_args: Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::usage("`golden plan` is not there yet"))
}
