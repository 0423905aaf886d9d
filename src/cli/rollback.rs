//! `golden rollback`: put the moving tags back on an older version.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;

/// Put the moving tags back on an older version.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The image, by name.
    pub image: String,
    /// The version to go back to.
    #[arg(long, value_name = "VERSION")]
    pub to: String,
    /// Do not ask.
    #[arg(long, short)]
    pub yes: bool,
    /// Set a variable of the workspace.
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
}

/// Runs the command.
#[expect(clippy::unused_async, reason = "not yet")]
pub async fn run(_args: Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::usage("`golden rollback` is not there yet"))
}
