//! `golden matrix`: the build as waves of CI jobs.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;

/// The build as waves of CI jobs.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Images, by name or glob; all without.
    pub images: Vec<String>,
    /// Only images that changed since this commit, and what is built on them.
    #[arg(long, value_name = "SINCE")]
    pub changed: Option<String>,
    /// Set a variable of the workspace.
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
}

/// Runs the command.
#[expect(clippy::unused_async, reason = "not yet")]
pub async fn run(_args: Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::usage("`golden matrix` is not there yet"))
}
