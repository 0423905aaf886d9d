//! `golden promote`: copy by digest between repositories or registries.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;

/// Copy by digest between repositories or registries.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The image.
    #[arg(value_name = "SRC")]
    pub source: String,
    /// The destination: a repository, or a reference with a tag.
    #[arg(value_name = "DST")]
    pub destination: String,
    /// Copy the other tags of the same digest too, by the rules of moving.
    #[arg(long)]
    pub tags: bool,
    /// Copy what refers to the image (signatures, SBOMs) too.
    #[arg(long)]
    pub referrers: bool,
}

/// Runs the command.
#[expect(clippy::unused_async, reason = "not yet")]
pub async fn run(_args: Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::usage("`golden promote` is not there yet"))
}
