//! `golden doctor`: check the engines, registries, git, disk and clock.

use serde::Serialize;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::session;
use crate::app::doctor::{Check, Health, examine};
use crate::report::OutputFormat;
use crate::report::table::TextTable;
use crate::report::text::count;

/// Check the engines, registries, git, disk and clock, and say what to do about problems.
///
/// Nothing is changed. To find out whether a registry deletes, golden asks it to delete a digest
/// that does not exist.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// The JSON output.
#[derive(Serialize)]
struct Examination {
    version: &'static str,
    checks: Vec<Check>,
    errors: usize,
    warnings: usize,
}

/// Runs the command.
pub async fn run(_args: Args, context: &Context) -> Result<Exit, Failure> {
    let workspace = session::workspace(context).await?;
    let checks = examine(&context.settings(), workspace.as_ref()).await?;
    let number = |health| checks.iter().filter(|check| check.health == health).count();
    let (errors, warnings) = (number(Health::Error), number(Health::Warning));
    let exit = if errors == 0 {
        Exit::Done
    } else {
        Exit::Failed
    };
    if context.format == OutputFormat::Json {
        context.out.json(&Examination {
            version: env!("CARGO_PKG_VERSION"),
            checks,
            errors,
            warnings,
        });
        return Ok(exit);
    }
    context.out.data(&table(&checks).to_string());
    context.out.message(&format!(
        "{}: {}, {}",
        count(checks.len(), "check"),
        count(errors, "error"),
        count(warnings, "warning")
    ));
    Ok(exit)
}

/// One row for each check, and one for each line of help.
fn table(checks: &[Check]) -> TextTable {
    let mut table = TextTable::default();
    for check in checks {
        table.row([
            check.health.as_str(),
            check.subject.as_str(),
            &check.name,
            &check.message,
        ]);
        for help in &check.help {
            table.row(["", "", "", &format!("help: {help}")]);
        }
    }
    table
}
