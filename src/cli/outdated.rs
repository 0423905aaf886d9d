//! `golden outdated`: list bases that moved since golden.lock (exit 5 when there are any).

use serde::Serialize;

use super::bases::{self, Change, Compared, Lost, show_lost};
use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use crate::report::Format;
use crate::report::table::Table;

/// List bases that moved since golden.lock (exit 5 when there are any).
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Bases, by reference or glob; all without.
    pub bases: Vec<String>,
    /// Set a variable of the workspace.
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
}

#[derive(Serialize)]
struct Report {
    bases: Vec<Compared>,
    /// Bases that are not to be had.
    lost: Vec<Lost>,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let session = bases::open(context, args.set).await?;
    let (compared, lost) = bases::compare(context, &session, &args.bases).await?;
    let all = compared.len() + lost.len();
    let outdated = compared.iter().filter(|base| base.change != Change::Unchanged).count();
    let exit = match (lost.is_empty(), outdated) {
        (false, _) => Exit::Failed,
        (true, 0) => Exit::Done,
        (true, _) => Exit::Difference,
    };
    if context.format == Format::Json {
        context.out.json(&Report { bases: compared, lost });
        return Ok(exit);
    }
    let mut table = Table::default();
    for base in compared.iter().filter(|base| base.change != Change::Unchanged) {
        table.row([base.base.clone(), base.line(), base.images.join(", ")]);
    }
    context.out.data(&table.to_string());
    let end = match (outdated, lost.len()) {
        (0, 0) => "all as golden.lock has them".to_owned(),
        (_, 0) => "`golden update` follows them".to_owned(),
        (_, lost) => format!("{lost} could not be asked for"),
    };
    context.out.message(&format!("{outdated} of {all} bases moved or are not locked: {end}"));
    show_lost(context, lost);
    Ok(exit)
}
