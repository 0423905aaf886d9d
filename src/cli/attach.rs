//! `golden attach`: attach a bundle that another program made to a published image.

use std::path::PathBuf;

use super::attest::show;
use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::session::scope;
use crate::app::attest::attach;

/// Attach a Sigstore bundle that another program made to a published image.
///
/// The bundle must be about the digest that the reference points to. golden does not verify its
/// signature: `golden verify --signed` does.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Image, by reference or by the name of a workspace image.
    #[arg(value_name = "REF")]
    pub reference: String,
    /// File with the bundle.
    #[arg(value_name = "BUNDLE")]
    pub bundle: PathBuf,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let arguments = [args.reference];
    let scope = scope(context, &arguments).await?;
    let attached = attach(&arguments, &scope, &args.bundle).await?;
    show(&attached, context);
    Ok(Exit::Done)
}
