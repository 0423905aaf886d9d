//! `golden ls`: list the repositories of a registry, or the tags of a repository.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;

/// List the repositories of a registry, or the tags of a repository.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A host, or a repository; the default registry without.
    #[arg(value_name = "HOST[/REPO]")]
    pub place: Option<String>,
}

/// Runs the command.
#[expect(clippy::unused_async, reason = "not yet")]
pub async fn run(_args: Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::usage("`golden ls` is not there yet"))
}
