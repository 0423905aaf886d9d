//! `golden reproduce`: build a published image again from its provenance, and compare.

use std::path::PathBuf;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::session::scope;
use crate::app::reproduce::{ReproduceRequest, reproduce};
use crate::report::{self, OutputFormat};

/// Build a published image again from its provenance, and compare the digests (exit 5 if they
/// differ).
///
/// If a `[[trust]]` table has a key for the image, or with --key, the provenance statement must be
/// signed by such a key (exit 5 if it is not).
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Image in a registry, by reference or by the name of a workspace image.
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// Public key that must have signed the provenance statement [default: those of `[[trust]]`].
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let scope = scope(context, std::slice::from_ref(&args.image)).await?;
    let request = ReproduceRequest {
        image: &args.image,
        key: args.key.as_deref(),
    };
    let result = reproduce(request, &scope).await?;
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
