//! `golden tags`: compute the tags of a version, and which of them may move.

use std::path::PathBuf;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;

/// Compute the tags of a version, and which of them may move.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The version, semver; one leading `v` is dropped.
    pub version: String,
    /// The tag suffix.
    #[arg(long, value_name = "VARIANT")]
    pub variant: Option<String>,
    /// The tags that exist, one a line; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    pub existing: Option<PathBuf>,
    /// Take it that a version which exists already is published again.
    #[arg(long)]
    pub republish: bool,
    /// Make the tag `0` for 0.x versions.
    #[arg(long)]
    pub zero_major: bool,
    /// When `latest` moves.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub latest: LatestArg,
    /// Another moving tag.
    #[arg(long, value_name = "TAG")]
    pub extra: Vec<String>,
}

/// When `latest` moves, on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LatestArg {
    /// When no stable version is higher.
    Auto,
    /// With every stable release.
    Always,
    /// Never.
    Never,
}

/// Runs the command.
#[expect(clippy::unused_async, reason = "not yet")]
pub async fn run(_args: Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::usage("`golden tags` is not there yet"))
}
