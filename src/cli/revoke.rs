//! `golden revoke`: announce that published images must not be used.

use std::path::PathBuf;

use serde::Serialize;

use super::confirm::confirm;
use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::selection::SelectionArgs;
use super::session::{self, destinations_of, names};
use super::sign::optional_signing;
use crate::app::revoke::{
    PlannedRevocation, RevocationEdit, RevokeRequest, RevokeScope, RevokedImage,
};
use crate::config_files::KeySource;
use crate::config_files::values::Day;
use crate::oci::lifecycle::{Announcement, LifecycleStatus};
use crate::report::{self, OutputFormat};

/// Announce that published images must not be used, in their registry.
///
/// The command adds the version of a workspace image to [[lifecycle.revoked]] of image.toml, and
/// shows the edit as a diff. If stdin is not a terminal, --yes is required.
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

#[derive(Serialize)]
struct RevokeDocument<'a> {
    dry_run: bool,
    images: &'a [RevokedImage],
    edits: &'a [RevocationEdit],
}

/// Runs the command. Fails if a repository cannot be searched for descendants, after the others are
/// revoked.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let workspace = session::workspace(context).await?;
    let destinations = destinations_of(context, workspace.as_ref())?;
    let names = names(context, &destinations, &args.references).await?;
    let settings = context.settings();
    let status = if args.restore {
        LifecycleStatus::Active
    } else {
        LifecycleStatus::Revoked
    };
    let request = RevokeRequest {
        announcement: Announcement {
            reason: args.reason,
            replacement: args.replacement,
            from: args.from.map(|day| day.to_string()),
            ..Announcement::new(status)
        },
        references: args.references,
        descendants: args.descendants,
        repositories: args.repositories,
        no_edit: args.no_edit,
    };
    let has_own = request.references.iter().any(|one| names.has(one));
    let session = if has_own {
        Some(session::open(context, SelectionArgs::default()).await?)
    } else {
        None
    };
    let signing = optional_signing(args.key.as_ref(), context, workspace.as_ref()).await?;
    let signer = signing.as_ref().map(|signing| &signing.signer);
    let scope = RevokeScope {
        workspace: workspace.as_ref(),
        session: session.as_ref(),
        signer,
        names: &names,
        settings: &settings,
        destinations: &destinations,
    };
    let mut planned = PlannedRevocation::plan(&request, scope).await?;
    planned.warn_of_trust(scope);
    let is_text = context.format != OutputFormat::Json;
    if is_text {
        report::revocation(&context.out, &planned.images, &planned.edits);
    }
    if !args.dry_run {
        let question = report::revocation_question(&planned.images, status);
        confirm(context, args.yes, &question).await?;
        planned.execute(scope).await?;
    }
    if is_text {
        context.out.message(&report::revocation_summary(
            &planned.images,
            status,
            args.dry_run,
        ));
    } else {
        context.out.json(&RevokeDocument {
            dry_run: args.dry_run,
            images: &planned.images,
            edits: &planned.edits,
        });
    }
    if planned.is_incomplete {
        let message = "descendants may be missing, because some repositories cannot be read";
        return Err(Failure::new(Exit::Failed, anyhow::anyhow!(message)));
    }
    Ok(Exit::Done)
}
