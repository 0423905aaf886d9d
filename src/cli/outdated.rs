//! `golden outdated`: list bases that changed since golden.lock (exit 5 if there are any).

use serde::Serialize;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::unavailable::show_unavailable;
use super::{packages, session};
use crate::app::bases::{self, ComparedBase, LockedBaseChange, UnavailableBase};
use crate::report::{self, OutputFormat};

/// List bases that changed since golden.lock (exit 5 if there are any).
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Bases to check, by reference or glob [default: all].
    #[arg(conflicts_with = "packages")]
    pub bases: Vec<String>,
    /// List packages of the published images that have a newer version. Needs an engine, which
    /// reads the indexes in a container of each image.
    #[arg(long)]
    pub packages: bool,
    /// Override a variable of the workspace.
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
}

#[derive(Serialize)]
struct OutdatedReport {
    bases: Vec<ComparedBase>,
    /// Bases that are unavailable.
    lost: Vec<UnavailableBase>,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let session = session::open_for_bases(context, args.set).await?;
    session.workspace.lock.require_one_digest()?;
    if args.packages {
        return packages::outdated(&session, context).await;
    }
    let (compared, lost) = bases::compare(&session, &args.bases).await?;
    let outdated = compared
        .iter()
        .any(|base| base.change != LockedBaseChange::Unchanged);
    let exit = match (lost.is_empty(), outdated) {
        (false, _) => Exit::Failed,
        (true, false) => Exit::Done,
        (true, true) => Exit::Difference,
    };
    let in_use = bases::require_in_use(&session, &compared).await;
    if context.format == OutputFormat::Json {
        context.out.json(&OutdatedReport {
            bases: compared,
            lost,
        });
        in_use?;
        return Ok(exit);
    }
    report::outdated(&context.out, &compared, lost.len());
    show_unavailable(context, lost);
    in_use?;
    Ok(exit)
}
