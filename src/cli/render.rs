//! `golden render`: render the Dockerfiles.

use std::path::PathBuf;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;

/// Render the Dockerfiles.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Images to render, by name or glob; all without.
    pub images: Vec<String>,
    /// Write them into this directory, one file an image.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Fail (exit 5) when those in the directory are stale; write nothing.
    #[arg(long, requires = "out")]
    pub check: bool,
    /// Set a variable of the workspace.
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
}

/// Runs the command.
#[expect(clippy::unused_async, reason = "not yet")]
pub async fn run(_args: Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::usage("`golden render` is not there yet"))
}
