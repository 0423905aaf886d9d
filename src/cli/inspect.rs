//! `golden inspect`: show manifest, config, labels, layers, and the other tags of the same digest.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;

/// Show manifest, config, labels, layers, and the other tags of the same digest.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The image.
    #[arg(value_name = "REF")]
    pub reference: String,
}

/// Runs the command.
#[expect(clippy::unused_async, reason = "not yet")]
pub async fn run(_args: Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::usage("`golden inspect` is not there yet"))
}
