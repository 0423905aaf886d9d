//! `golden outdated`: list bases that moved since golden.lock (exit 5 when there are any).

use serde::Serialize;

use super::bases::{self, Change, Compared};
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
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let session = bases::open(context, args.set).await?;
    let compared = bases::compare(context, &session, &args.bases).await?;
    let all = compared.len();
    let outdated = compared.iter().filter(|base| base.change != Change::Unchanged).count();
    if context.format == Format::Json {
        context.out.json(&Report { bases: compared });
    } else {
        let mut table = Table::default();
        for base in compared.iter().filter(|base| base.change != Change::Unchanged) {
            table.row([base.base.clone(), base.line(), base.images.join(", ")]);
        }
        context.out.data(&table.to_string());
        let verb = if outdated == 0 { "all as golden.lock has them" } else { "`golden update` follows them" };
        context.out.message(&format!("{outdated} of {all} bases moved or are not locked: {verb}"));
    }
    Ok(if outdated == 0 { Exit::Done } else { Exit::Difference })
}
