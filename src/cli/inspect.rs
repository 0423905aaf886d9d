//! `golden inspect`: show the manifest, config, labels and layers of an image, and all tags of its
//! digest.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::session::scope;
use crate::app::inspect;
use crate::report::{self, OutputFormat};

/// Show the manifest, config, labels and layers of an image, and all tags of its digest.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Image in a registry, by reference or by the name of a workspace image; or
    /// `oci:DIR[:NAME][@DIGEST]` in an OCI layout.
    #[arg(value_name = "REF")]
    pub reference: String,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let inspected = if args.reference.starts_with("oci:") {
        inspect::layout(&args.reference, &context.cwd).await?
    } else {
        let scope = scope(context, std::slice::from_ref(&args.reference)).await?;
        inspect::registry(&args.reference, &scope).await?
    };
    match context.format {
        OutputFormat::Json => context.out.json(&inspected),
        _ => context.out.data(&report::inspected(&inspected)),
    }
    Ok(Exit::Done)
}
