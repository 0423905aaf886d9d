//! `golden sbom`: print the bill of materials of an image.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::session::scope;
use crate::app::sbom;
use crate::inventory::SbomFormat;
use crate::platform::Platform;
use crate::report::OutputFormat;

/// Print the bill of materials of an image: its packages, files and certificates.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Image in a registry, by reference or by the name of a workspace image; or
    /// `oci:DIR[:NAME][@DIGEST]` in an OCI layout.
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// Platform of the image, such as `linux/arm64` [default: the only one, or this machine's].
    #[arg(long)]
    pub platform: Option<Platform>,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let scope = scope(context, std::slice::from_ref(&args.image)).await?;
    let finder = scope.finder(args.platform.as_ref());
    let bill = sbom::bill(&args.image, &finder).await?;
    let format = match context.format {
        OutputFormat::Spdx => SbomFormat::Spdx,
        _ => SbomFormat::CycloneDx,
    };
    context.out.document(&bill.document(format));
    match sbom::incomplete(&args.image, &bill.inventory.gaps) {
        Some(error) => Err(error.into()),
        None => Ok(Exit::Done),
    }
}
