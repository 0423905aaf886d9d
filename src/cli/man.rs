//! `golden man`: print the manual page.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;

/// Print the manual page.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
#[expect(clippy::unused_async, reason = "not yet")]
pub async fn run(_args: Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::usage("`golden man` is not there yet"))
}
