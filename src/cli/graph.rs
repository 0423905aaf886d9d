//! `golden graph`: show which image is built on which.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;

/// Show which image is built on which.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Images, by name or glob; all without.
    pub images: Vec<String>,
    /// Set a variable of the workspace.
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
}

/// Runs the command.
#[expect(clippy::unused_async, reason = "not yet")]
pub async fn run(_args: Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::usage("`golden graph` is not there yet"))
}
