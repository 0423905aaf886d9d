//! `golden init`: write a commented workspace that builds as it is.

use std::path::PathBuf;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;

/// Write a commented workspace that builds as it is.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to write it.
    #[arg(default_value = ".")]
    pub dir: PathBuf,
}

/// Runs the command.
#[expect(clippy::unused_async, reason = "not yet")]
pub async fn run(_args: Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::usage("`golden init` is not there yet"))
}
