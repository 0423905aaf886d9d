//! `golden graph`: show which image is built on which.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::selection::SelectionArgs;
use super::session::show;
use crate::app::graph::graph;
use crate::app::session::check;
use crate::report::OutputFormat;
use crate::report::graph::{dot, mermaid, svg, tree};

/// Show which image is built on which.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The images to show; their base images are shown as well.
    #[command(flatten)]
    pub selection: SelectionArgs,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let checked = check(args.selection.settings(context)?).await?;
    let Some(session) = checked.session else {
        show(context, &checked.found, &checked.sources)?;
        return Ok(Exit::Usage);
    };
    let graph = graph(&session).await;
    match context.format {
        OutputFormat::Json => context.out.json(&graph),
        OutputFormat::Dot => context.out.data(&dot(&graph)),
        OutputFormat::Tree => context.out.data(&tree(&graph)),
        OutputFormat::Svg => context.out.data(&svg(&graph)),
        _ => context.out.data(&mermaid(&graph)),
    }
    Ok(Exit::Done)
}
