//! `golden update`: refresh golden.lock.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;

/// Refresh golden.lock.
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
    Err(Failure::usage("`golden update` is not there yet"))
}
