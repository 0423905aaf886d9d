//! `golden outdated`: list bases that moved since golden.lock (exit 5 when there are any).

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;

/// List bases that moved since golden.lock (exit 5 when there are any).
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Bases, by reference or glob; all without.
    pub bases: Vec<String>,
    /// Set a variable of the workspace.
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
}

/// Runs the command.
#[expect(clippy::unused_async, reason = "not yet")]
pub async fn run(_args: Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::usage("`golden outdated` is not there yet"))
}
