//! `golden lifecycle`: announce the end of life and the revoked versions that the specs declare.

use serde::Serialize;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::selection::SelectionArgs;
use super::session;
use crate::app::lifecycle::{Announced, AnnouncedImages, apply};
use crate::app::{registries, signatures};
use crate::report::{self, OutputFormat};

/// Announce the end of life and the revoked versions that the specs declare.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The action.
    #[command(subcommand)]
    pub action: LifecycleAction,
}

/// The actions of `golden lifecycle`.
#[derive(Debug, clap::Subcommand)]
pub enum LifecycleAction {
    /// Announce `[lifecycle]` of image.toml on every published version.
    Apply(ApplyArgs),
}

/// The arguments of `golden lifecycle apply`.
#[derive(Debug, clap::Args)]
pub struct ApplyArgs {
    /// Images of the workspace.
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// Show the announcements without writing anything.
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Serialize)]
struct LifecycleDocument<'a> {
    dry_run: bool,
    announced: &'a [Announced],
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let LifecycleAction::Apply(args) = args.action;
    let mut session = session::open(context, args.selection).await?;
    session.require_registry()?;
    let table = session.workspace.spec.signing.clone();
    if !args.dry_run {
        let root = &session.workspace.root;
        session.signing = signatures::of_workspace(&session.settings, root, &table).await?;
    }
    let registries = registries::of_session(&session)?;
    let announced = apply(&session, &registries, AnnouncedImages::All, args.dry_run).await?;
    match context.format {
        OutputFormat::Json => context.out.json(&LifecycleDocument {
            dry_run: args.dry_run,
            announced: &announced,
        }),
        _ => report::announced(&context.out, &announced, args.dry_run),
    }
    Ok(Exit::Done)
}
