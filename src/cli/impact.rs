//! `golden impact`: list the published images that are built on an image.

use std::path::PathBuf;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::session::scope;
use crate::app::impact::{ImpactQuery, impact};
use crate::report::{self, OutputFormat};

/// List the published images that are built on an image, from the registry alone.
///
/// An image is built on BASE if its layers begin with those of BASE. Without a tag and a digest,
/// BASE is every version of the image. golden reads every repository of the selected registries, or
/// of the registry of BASE outside a workspace.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Base, by reference or by the name of a workspace image.
    #[arg(value_name = "BASE", required_unless_present = "package")]
    pub base: Option<String>,
    /// List only images that have this package, by their bills of materials: NAME, or NAME<VERSION.
    #[arg(long, value_name = "NAME[<VERSION]")]
    pub package: Option<String>,
    /// Read the repositories that FILE lists, one on each line, for a registry without a catalog.
    #[arg(long, value_name = "FILE")]
    pub repositories: Option<PathBuf>,
}

/// Runs the command. Fails if a repository cannot be read, after the result is shown.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let package = args.package.as_deref().map(str::parse).transpose()?;
    let scope = scope(context, args.base.as_slice()).await?;
    let query = ImpactQuery {
        base: args.base,
        package,
        repositories: args.repositories,
    };
    let found = impact(&query, &scope).await?;
    report::scan_problems(&context.events, &found.problems);
    if context.format == OutputFormat::Json {
        context.out.json(&found);
    } else {
        context.out.data(&report::impact(&found));
        context.out.message(&report::impact_summary(&found));
    }
    found.require_complete()?;
    Ok(Exit::Done)
}
