//! `golden delete`: delete by digest, and verify that it is gone.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;

/// Delete by digest, and verify that it is gone.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The images.
    #[arg(required = true, value_name = "REF")]
    pub references: Vec<String>,
    /// Delete the digest with every tag that names it.
    #[arg(long, conflicts_with = "untag")]
    pub all_tags: bool,
    /// Remove only this tag; the digest and its other tags stay.
    #[arg(long)]
    pub untag: bool,
    /// Do not ask.
    #[arg(long, short)]
    pub yes: bool,
}

/// Runs the command.
#[expect(clippy::unused_async, reason = "not yet")]
pub async fn run(_args: Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::usage("`golden delete` is not there yet"))
}
