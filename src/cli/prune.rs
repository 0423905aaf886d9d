//! `golden prune`: delete old versions from the registry by rules of retention.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;

/// Delete old versions from the registry by rules of retention.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Images of the workspace or repositories; all images without.
    pub subjects: Vec<String>,
    /// Keep at least this many of the highest stable versions.
    #[arg(long, value_name = "N")]
    pub keep: Option<usize>,
    /// Only what was created longer ago than this: 30d, 12h, 8w.
    #[arg(long, value_name = "AGE")]
    pub older_than: Option<String>,
    /// Say what would be deleted, and delete nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask.
    #[arg(long, short)]
    pub yes: bool,
    /// Set a variable of the workspace.
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
}

/// Runs the command.
#[expect(clippy::unused_async, reason = "not yet")]
pub async fn run(_args: Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::usage("`golden prune` is not there yet"))
}
