//! `golden completions`: print completions for a shell.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;

/// Print completions for a shell.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell.
    pub shell: clap_complete::Shell,
}

/// Runs the command.
#[expect(clippy::unused_async, reason = "not yet")]
pub async fn run(_args: Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::usage("`golden completions` is not there yet"))
}
