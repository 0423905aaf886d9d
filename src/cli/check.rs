//! `golden check`: parse and validate the specs, and apply the policy to them.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::session::{self, SessionOptions};
use crate::report::{self, Format};

/// Parse and validate the specs, and apply the policy to them.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What is checked.
    #[command(flatten)]
    pub selection: SessionOptions,
    /// Explain a rule and stop.
    #[arg(long, value_name = "RULE")]
    pub explain: Option<String>,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    if let Some(rule) = &args.explain {
        return super::explain::explain(rule, context);
    }
    let checked = session::check(context, &args.selection).await?;
    if context.format != Format::Text || !checked.found.is_empty() {
        report::diagnostics(&context.out, context.format, &checked.found, &checked.sources);
    }
    if let Some(exit) = session::exit_of(&checked.found) {
        return Ok(exit);
    }
    let images = checked.session.map_or(0, |session| session.images.len());
    if context.format == Format::Text {
        let plural = if images == 1 { "image is" } else { "images are" };
        context.out.message(&format!("{images} {plural} in order"));
    }
    Ok(Exit::Done)
}
