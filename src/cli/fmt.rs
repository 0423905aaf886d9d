//! `golden fmt`: format golden.toml and image.toml.

use serde::Serialize;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use crate::app::fmt::{FormattedFile, files};
use crate::report::OutputFormat;

/// Format golden.toml and every image.toml in one layout. Comments and the order of the keys are
/// kept.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show the differences instead of writing the files; exit 5 if there are any.
    #[arg(long)]
    pub check: bool,
}

/// The JSON output.
#[derive(Serialize)]
struct FormatReport {
    files: Vec<FormattedFile>,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let files = files(&context.settings(), args.check).await?;
    let exit = if args.check && !files.is_empty() {
        Exit::Difference
    } else {
        Exit::Done
    };
    if context.format == OutputFormat::Json {
        context.out.json(&FormatReport { files });
        return Ok(exit);
    }
    for file in &files {
        if args.check {
            context.out.data(&file.diff);
        } else {
            let message = format!("{}: formatted", file.file.display());
            context.out.message(&message);
        }
    }
    Ok(exit)
}
