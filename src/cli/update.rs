//! `golden update`: refresh golden.lock.

use serde::Serialize;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::unavailable::show_unavailable;
use super::{packages, session};
use crate::app::bases::{self, ComparedBase};
use crate::app::bump::NextVersion;
use crate::report::{self, OutputFormat};
use crate::workspace::lock::FILE;

/// Update golden.lock to the current digests of the bases.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Bases to refresh, by reference or glob [default: all].
    #[arg(conflicts_with = "packages")]
    pub bases: Vec<String>,
    /// Record the newer versions of packages, so that the next build installs them. Needs an
    /// engine.
    #[arg(long)]
    pub packages: bool,
    /// Also write the next version of each image with newer packages into its spec.
    #[arg(long, value_name = "LEVEL", requires = "packages")]
    pub bump: Option<NextVersion>,
    /// Override a variable of the workspace.
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
}

#[derive(Serialize)]
struct UpdateReport {
    bases: Vec<ComparedBase>,
    /// Bases that no image uses any longer.
    removed: Vec<String>,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let session = session::open_for_bases(context, args.set).await?;
    if args.packages {
        session.workspace.lock.require_one_digest()?;
        return packages::update(&session, args.bump.as_ref(), context).await;
    }
    let (mut compared, lost) = bases::compare(&session, &args.bases).await?;
    // If one base is unavailable, nothing is written: a partial update would look complete.
    if !lost.is_empty() {
        show_unavailable(context, lost);
        context.out.message(&format!(
            "{FILE} is unchanged; `golden update BASE` refreshes a single base"
        ));
        return Err(Failure::shown(Exit::Failed));
    }
    bases::require_signed(&session, &mut compared).await?;
    let mut lock = session.workspace.lock.clone();
    let used = bases::external(&session);
    let removed: Vec<String> = lock
        .bases
        .keys()
        .filter(|key| !used.contains_key(*key))
        .cloned()
        .collect();
    lock.bases.retain(|key, _| used.contains_key(key));
    let compared = bases::record(&mut lock, compared, &used);
    lock.write(&session.workspace.root)?;
    match context.format {
        OutputFormat::Json => context.out.json(&UpdateReport {
            bases: compared,
            removed,
        }),
        _ => report::updated(&context.out, &compared, &removed),
    }
    Ok(Exit::Done)
}
