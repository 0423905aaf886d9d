//! `golden diff`: show the difference between two images.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::session::scope;
use crate::app::{diff, package_updates, sbom};
use crate::platform::Platform;
use crate::report::{self, OutputFormat};

/// Show the difference between two images: packages, files, config, base and size.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// First image: a reference, the name of a workspace image, or `oci:DIR[:NAME][@DIGEST]`.
    #[arg(value_name = "A")]
    pub from: String,
    /// Second image, in the same form.
    #[arg(value_name = "B")]
    pub to: String,
    /// Platform of both images [default: the only one, or this machine's].
    #[arg(long)]
    pub platform: Option<Platform>,
    /// Also show the difference of the bases, if the images have different ones.
    #[arg(long)]
    pub base: bool,
    /// Mark the changed packages that are security updates now: an engine reads the indexes of their
    /// repositories in a container of A. golden.lock is used in any case.
    #[arg(long)]
    pub security: bool,
    /// Exit with 5 if the images differ.
    #[arg(long)]
    pub exit_code: bool,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let mut scope = scope(context, &[args.from.clone(), args.to.clone()]).await?;
    let lock = scope.workspace.take().map(|one| one.lock);
    let lock = lock.unwrap_or_default();
    let finder = scope.finder(args.platform.as_ref());
    // This fails without an engine, so it precedes the comparison, which reads every layer.
    let updates = if args.security {
        package_updates::security_updates(&args.from, &scope).await?
    } else {
        Vec::new()
    };
    let mut compared = diff::compare(&args.from, &args.to, args.base, &lock, &finder).await?;
    compared.mark_updates(&updates);
    match context.format {
        OutputFormat::Json => context.out.json(&compared.difference),
        OutputFormat::Markdown => context.out.data(&report::difference::markdown(&compared)),
        _ => context.out.data(&report::difference::text(&compared)),
    }
    for (image, gaps) in &compared.gaps {
        if let Some(error) = sbom::incomplete(image, gaps) {
            return Err(error.into());
        }
    }
    let differs = args.exit_code && !compared.difference.is_empty();
    Ok(if differs {
        Exit::Difference
    } else {
        Exit::Done
    })
}
