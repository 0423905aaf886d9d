//! `golden reproduce`: build a published image again from its provenance, and compare.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::session::{destinations, names};
use crate::app::reproduce::reproduce;
use crate::report::{self, OutputFormat};

/// Build a published image again from its provenance, and compare the digests (exit 5 if they
/// differ).
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Image in a registry, by reference or by the name of a workspace image.
    #[arg(value_name = "IMAGE")]
    pub image: String,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let destinations = destinations(context).await?;
    let names = names(context, &destinations, std::slice::from_ref(&args.image)).await?;
    let result = reproduce(&args.image, &names, &context.settings(), &destinations).await?;
    match context.format {
        OutputFormat::Json => context.out.json(&result),
        _ => context.out.data(&report::reproduction(&result)),
    }
    Ok(if result.is_confirmed() {
        Exit::Done
    } else {
        Exit::Difference
    })
}
