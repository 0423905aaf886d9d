//! `golden verify`: check that every tag is there and names what it should.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;

/// Check that every tag is there and names what it should.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Images of the workspace or references; all images without.
    pub subjects: Vec<String>,
    /// Read and hash configs and layers too.
    #[arg(long)]
    pub deep: bool,
    /// Set a variable of the workspace.
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
}

/// Runs the command.
#[expect(clippy::unused_async, reason = "not yet")]
pub async fn run(_args: Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::usage("`golden verify` is not there yet"))
}
