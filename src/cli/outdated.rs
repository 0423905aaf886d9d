//! `golden outdated`: list bases that changed since golden.lock (exit 5 if there are any).

use serde::Serialize;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::session;
use super::unavailable::show_unavailable;
use crate::app::bases::{self, Change, Compared, UnavailableBase};
use crate::app::{Session, package_updates};
use crate::report::table::TextTable;
use crate::report::text::count;
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
    bases: Vec<Compared>,
    /// Bases that are unavailable.
    lost: Vec<UnavailableBase>,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let session = session::open_for_bases(context, args.set).await?;
    if args.packages {
        return packages(&session, context).await;
    }
    let (compared, lost) = bases::compare(&session, &args.bases).await?;
    let all = compared.len() + lost.len();
    let outdated = compared
        .iter()
        .filter(|base| base.change != Change::Unchanged)
        .count();
    let moved = |base: &&Compared| base.change != Change::Unchanged;
    let pinned = compared
        .iter()
        .filter(moved)
        .filter(|base| base.pinned)
        .count();
    let exit = match (lost.is_empty(), outdated) {
        (false, _) => Exit::Failed,
        (true, 0) => Exit::Done,
        (true, _) => Exit::Difference,
    };
    if context.format == OutputFormat::Json {
        context.out.json(&OutdatedReport {
            bases: compared,
            lost,
        });
        return Ok(exit);
    }
    let mut table = TextTable::default();
    for base in compared
        .iter()
        .filter(|base| base.change != Change::Unchanged)
    {
        table.row([base.base.clone(), base.line(), base.images.join(", ")]);
    }
    context.out.data(&table.to_string());
    context
        .out
        .message(&summary(outdated, all, pinned, lost.len()));
    show_unavailable(context, lost);
    Ok(exit)
}

/// Lists packages that have a newer version.
async fn packages(session: &Session, context: &Context) -> Result<Exit, Failure> {
    let found = package_updates::outdated(session).await?;
    match context.format {
        OutputFormat::Json => context.out.json(&found),
        _ => report::packages(&context.out, &found),
    }
    Ok(match found.unchecked.is_empty() {
        false => Exit::Failed,
        true if found.images.iter().all(|image| image.updates.is_empty()) => Exit::Done,
        true => Exit::Difference,
    })
}

/// The last line: the number of outdated bases, and the next step.
fn summary(outdated: usize, all: usize, pinned: usize, lost: usize) -> String {
    let next = match (outdated, outdated - pinned, lost) {
        (0, _, 0) if all == 0 => return "No image has a base in a registry.".to_owned(),
        (0, _, 0) => return "All bases match golden.lock.".to_owned(),
        (_, _, 1..) => format!("{lost} could not be read"),
        (_, 0, 0) => "write the new digest into the spec".to_owned(),
        (_, _, 0) if pinned == 0 => "run `golden update`".to_owned(),
        (_, _, 0) => "run `golden update`, and write the new digest of a pinned base into its spec"
            .to_owned(),
    };
    let bases = count(all, "base");
    let moved = if outdated == 1 {
        "moved or is"
    } else {
        "moved or are"
    };
    format!("{outdated} of {bases} {moved} not locked: {next}")
}
