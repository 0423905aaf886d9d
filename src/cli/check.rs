//! `golden check`: parse and validate the specs, and apply the policy to them.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::session::{self, Session, SessionOptions};
use crate::diagnostic::{Diagnostic, Diagnostics, Places as _, SourceMap};
use crate::render::{Renderer, Templates};
use crate::report::{self, Format};
use crate::spec::places::Parsed;

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
    let mut checked = session::check(context, &args.selection).await?;
    if let Some(session) = &checked.session {
        render(session, &checked.sources, &mut checked.found);
    }
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

/// Renders each image, which finds a template of the workspace that is not right, and what no Dockerfile can say.
fn render(session: &Session, sources: &SourceMap, found: &mut Diagnostics) {
    let templates = Templates::from(session.templates.clone());
    let renderer = Renderer::new(&templates);
    let places = Parsed(sources);
    for image in &session.images {
        let Err(error) = renderer.render(image) else { continue };
        let file = &image.source;
        let at =
            places.value(file, &["image", "template"]).or_else(|| places.value(file, &["image", "name"]));
        let diagnostic = Diagnostic::error("spec.render", error.to_string()).at(file, at.unwrap_or(0..0), "");
        found.push(error.hints().into_iter().fold(diagnostic, Diagnostic::help));
    }
}
