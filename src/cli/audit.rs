//! `golden audit`: apply the policy to published images, whoever built them.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;

/// Apply the policy to published images, whoever built them.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// References.
    #[arg(required = true, value_name = "REF")]
    pub references: Vec<String>,
}

/// Runs the command.
#[expect(clippy::unused_async, reason = "not yet")]
pub async fn run(_args: Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::usage("`golden audit` is not there yet"))
}
