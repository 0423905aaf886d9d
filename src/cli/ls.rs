//! `golden ls`: list the repositories of a registry, or the tags of a repository.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::session::scope;
use crate::app::list::{Listing, list, lookups};
use crate::report::{self, OutputFormat};

/// List the repositories of a registry, or the tags of a repository.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Registry host, repository or workspace image to list [default: the default registry].
    #[arg(value_name = "HOST[/REPO]|IMAGE")]
    pub place: Option<String>,
    /// Also list the tags `sha256-…`, under which tools store signatures and lists of referrers.
    #[arg(long)]
    pub all: bool,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let scope = scope(context, lookups(args.place.as_slice())).await?;
    let listing = list(args.place.as_ref(), args.all, &scope).await?;
    match &listing {
        _ if context.format == OutputFormat::Json => context.out.json(&listing),
        Listing::Registry {
            registry,
            repositories,
        } => {
            for path in repositories {
                context.out.data(&format!("{registry}/{path}\n"));
            }
        }
        Listing::Repository { repository, tags } if tags.is_empty() => {
            context.out.message(&format!("{repository} has no tags"));
        }
        Listing::Repository { tags, .. } => context.out.data(&report::listing(tags).to_string()),
    }
    Ok(Exit::Done)
}
