//! `golden referrers`: show the artifacts that refer to an image.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::session::scope;
use crate::app::referrers::referrers;
use crate::report::{self, OutputFormat};

/// Show the artifacts that refer to an image: signatures, bills of materials, attestations.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Image, by reference or by the name of a workspace image.
    #[arg(value_name = "REF")]
    pub reference: String,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let scope = scope(context, std::slice::from_ref(&args.reference)).await?;
    let tree = referrers(&args.reference, &scope).await?;
    match context.format {
        OutputFormat::Json => context.out.json(&tree),
        _ => context.out.data(&report::referrers(&tree)),
    }
    Ok(Exit::Done)
}
