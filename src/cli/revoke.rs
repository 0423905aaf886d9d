//! `golden revoke`: announce that published images must not be used.

use std::path::PathBuf;

use super::confirm::confirm;
use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::selection::SelectionArgs;
use super::session;
use super::sign::optional_signing;
use crate::app::revoke::{PlannedRevocation, RevokeRequest, RevokeScope};
use crate::config_files::KeySource;
use crate::config_files::values::Day;
use crate::oci::lifecycle::{Announcement, LifecycleStatus};
use crate::report;

/// Announce that published images must not be used, in their registry.
///
/// The command adds the version of a workspace image to [[lifecycle.revoked]] of image.toml, and
/// shows the edit as a diff. If stdin or stderr is not a terminal, --yes is required.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Images, by reference or by the name of a workspace image, with a tag or a digest.
    #[arg(value_name = "REF", required = true)]
    pub references: Vec<String>,
    /// Reason, such as "CVE-2026-1234 in openssl".
    #[arg(
        long,
        value_name = "TEXT",
        required_unless_present = "restore",
        conflicts_with = "restore"
    )]
    pub reason: Option<String>,
    /// Version to use instead.
    #[arg(long, value_name = "VERSION", conflicts_with = "restore")]
    pub replacement: Option<String>,
    /// First day of a planned revocation, in UTC, such as 2026-12-01.
    #[arg(long, value_name = "DATE", conflicts_with = "restore")]
    pub from: Option<Day>,
    /// Also revoke every image that is built on them.
    #[arg(long)]
    pub descendants: bool,
    /// Search the repositories that FILE lists for descendants.
    #[arg(long, value_name = "FILE", requires = "descendants")]
    pub repositories: Option<PathBuf>,
    /// Announce that the images may be used again.
    #[arg(long)]
    pub restore: bool,
    /// Private key: a file, `env:NAME` or `plugin:NAME://KEY` [default: the key of golden.toml].
    #[arg(long, value_name = "KEY")]
    pub key: Option<KeySource>,
    /// Announce without editing image.toml.
    #[arg(long)]
    pub no_edit: bool,
    /// Show the announcements and the edits without writing anything.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask for confirmation.
    #[arg(long, short)]
    pub yes: bool,
}

/// Runs the command. Fails if a repository cannot be searched for descendants, after the others are
/// revoked.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let command = session::scope(context, &args.references).await?;
    let announcement = if args.restore {
        Announcement::new(LifecycleStatus::Active)
    } else {
        Announcement::revocation(args.reason, args.replacement, args.from)
    };
    let request = RevokeRequest {
        announcement,
        references: args.references,
        descendants: args.descendants,
        repositories: args.repositories,
        no_edit: args.no_edit,
    };
    let mut own = None;
    if request.references.iter().any(|one| command.names.has(one)) {
        own = Some(session::open(context, SelectionArgs::default()).await?);
    }
    let signing = optional_signing(args.key.as_ref(), context, command.workspace.as_ref()).await?;
    let scope = RevokeScope {
        command: &command,
        session: own.as_ref(),
        signer: signing.as_ref().map(|signing| &signing.signer),
    };
    let mut planned = PlannedRevocation::plan(&request, scope).await?;
    planned.warn_of_trust(scope);
    report::revocation(&context.out, context.format, &planned);
    if !args.dry_run {
        confirm(context, args.yes, &report::revocation_question(&planned)).await?;
        planned.execute(scope).await?;
    }
    report::revoked(&context.out, context.format, &planned, args.dry_run);
    planned.require_complete()?;
    Ok(Exit::Done)
}
