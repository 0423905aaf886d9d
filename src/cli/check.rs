//! `golden check`: parse and validate the specs, and apply the policy to them.

use std::collections::BTreeSet;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::selection::SelectionArgs;
use super::session;
use crate::app::Session;
use crate::app::check::render;
use crate::app::session::check;
use crate::report::text::count;
use crate::report::{self, OutputFormat};
use crate::resolve::ResolvedImage;

/// Parse and validate the specs, and apply the policy to them.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The images to check.
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// Explain a code that a finding shows, and exit [default: list all codes].
    #[arg(long, value_name = "CODE", num_args = 0..=1)]
    pub explain: Option<Option<String>>,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    match &args.explain {
        Some(Some(code)) => return super::explain::explain(code, context),
        Some(None) => return Ok(super::explain::list(context)),
        None => {}
    }
    let mut checked = check(args.selection.settings(context)?).await?;
    if let Some(session) = &checked.session {
        render(session, &mut checked.found);
    }
    report::send_findings(&context.events, &checked.found, &checked.sources);
    if context.format != OutputFormat::Text || !checked.found.is_empty() {
        report::diagnostics(
            &context.out,
            context.format,
            &checked.found,
            &checked.sources,
        );
    }
    if let Some(exit) = session::exit_of(&checked.found) {
        return Ok(exit);
    }
    if context.format == OutputFormat::Text {
        let images = checked.session.iter().flat_map(Session::resolved);
        context.out.message(&summary(&images.collect::<Vec<_>>()));
    }
    Ok(Exit::Done)
}

/// The summary: the number of images, and of certificates if there are any.
fn summary(images: &[&ResolvedImage]) -> String {
    let plural = if images.len() == 1 {
        "image is"
    } else {
        "images are"
    };
    let images_are_valid = format!("{} {plural} valid", images.len());
    let all = || images.iter().flat_map(|image| &image.certificates);
    let certificates: BTreeSet<_> = all().map(|one| (&one.file, &one.der)).collect();
    let files: BTreeSet<_> = all().map(|one| &one.file).collect();
    match certificates.len() {
        0 => images_are_valid,
        read => format!(
            "{images_are_valid}; read {} from {}",
            count(read, "certificate"),
            count(files.len(), "file")
        ),
    }
}
