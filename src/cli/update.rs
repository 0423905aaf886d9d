//! `golden update`: refresh golden.lock.

use serde::Serialize;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::session;
use super::unavailable::show_unavailable;
use crate::app::bases::{self, Change, Compared};
use crate::report::OutputFormat;
use crate::report::table::TextTable;
use crate::workspace::lock::FILE;

/// Update golden.lock to the current digests of the bases.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Bases to refresh, by reference or glob [default: all].
    pub bases: Vec<String>,
    /// Override a variable of the workspace.
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
}

#[derive(Serialize)]
struct UpdateReport {
    bases: Vec<Compared>,
    /// Bases that no image uses any longer.
    removed: Vec<String>,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let session = session::open_for_bases(context, args.set).await?;
    let (compared, lost) = bases::compare(&session, &args.bases).await?;
    // If one base is unavailable, nothing is written: a partial update would look complete.
    if !lost.is_empty() {
        show_unavailable(context, lost);
        context.out.message(&format!(
            "{FILE} is unchanged; `golden update BASE` refreshes a single base"
        ));
        return Err(Failure::shown(Exit::Failed));
    }
    let mut lock = session.workspace.lock.clone();
    let used = bases::external(&session);
    let removed: Vec<String> = lock
        .bases
        .keys()
        .filter(|key| !used.contains_key(*key))
        .cloned()
        .collect();
    lock.bases.retain(|key, _| used.contains_key(key));
    for base in &compared {
        // A new date with the same digest does not change the file.
        if base.change != Change::Unchanged && !base.pinned {
            lock.bases.insert(base.base.clone(), base.current.clone());
        }
    }
    lock.write(&session.workspace.root)?;
    show(context, compared, removed);
    Ok(Exit::Done)
}

fn show(context: &Context, compared: Vec<Compared>, removed: Vec<String>) {
    if context.format == OutputFormat::Json {
        context.out.json(&UpdateReport {
            bases: compared,
            removed,
        });
        return;
    }
    let (pinned, compared): (Vec<Compared>, Vec<Compared>) =
        compared.into_iter().partition(|base| base.pinned);
    let mut table = TextTable::default();
    for base in compared
        .iter()
        .filter(|base| base.change != Change::Unchanged)
    {
        table.row([base.base.clone(), base.line()]);
    }
    for base in &removed {
        table.row([base.as_str(), "no longer used"]);
    }
    context.out.data(&table.to_string());
    let unchanged = compared
        .iter()
        .filter(|base| base.change == Change::Unchanged)
        .count();
    let changed = compared.len() - unchanged;
    context.out.message(&format!(
        "{FILE}: {changed} changed, {unchanged} unchanged, {} removed",
        removed.len()
    ));
    for base in pinned
        .iter()
        .filter(|base| base.change != Change::Unchanged)
    {
        context.out.message(&format!(
            "{} is pinned in the spec of {}; to follow its tag, pin {}",
            base.base,
            base.images.join(", "),
            base.current.digest
        ));
    }
}
