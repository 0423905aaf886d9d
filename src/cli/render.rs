//! `golden render`: render the Dockerfiles.

use std::path::PathBuf;

use serde::Serialize;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::session::{Session, SessionOptions};
use crate::render::{Renderer, Templates};
use crate::report::Format;
use crate::resolve::ResolvedImage;
use crate::workspace::fs;

/// Render the Dockerfiles.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What is rendered.
    #[command(flatten)]
    pub selection: SessionOptions,
    /// Write them into this directory, one file an image: NAME/Dockerfile, with .VARIANT or, in a matrix, .VERSION-VARIANT.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Fail (exit 5) when those in the directory are stale; write nothing.
    #[arg(long, requires = "out")]
    pub check: bool,
}

/// What was rendered of all images.
#[derive(Debug, Serialize)]
struct Report {
    images: Vec<RenderedImage>,
}

/// What was rendered of an image.
#[derive(Debug, Serialize)]
struct RenderedImage {
    image: String,
    /// Below `--out`.
    file: String,
    dockerfile: String,
    /// With `--out`: what became of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<State>,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Current,
    Written,
    Stale,
    Missing,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let session = Session::open(context, &args.selection).await?;
    let templates = Templates::from(session.templates);
    let renderer = Renderer::new(&templates);
    let mut images = Vec::new();
    for image in &session.images {
        let dockerfile = renderer.render(image)?.dockerfile;
        let (image, file) = (image.display(), file(image));
        images.push(RenderedImage { image, file, dockerfile, state: None });
    }
    if let Some(out) = &args.out {
        for image in &mut images {
            let state = settle(&context.cwd.join(out).join(&image.file), &image.dockerfile, args.check)?;
            image.state = Some(state);
        }
    }
    let stale = |image: &RenderedImage| matches!(image.state, Some(State::Stale | State::Missing));
    let exit = if images.iter().any(stale) { Exit::Difference } else { Exit::Done };
    show(context, &Report { images });
    Ok(exit)
}

/// Where an image's Dockerfile goes below `--out`. Names have no capitals, so no image's folder is called so.
fn file(image: &ResolvedImage) -> String {
    let version = (!image.row.is_empty()).then(|| image.version.to_string());
    let suffix: Vec<String> =
        version.into_iter().chain(image.variant.as_ref().map(ToString::to_string)).collect();
    match suffix.as_slice() {
        [] => format!("{}/Dockerfile", image.name),
        suffix => format!("{}/Dockerfile.{}", image.name, suffix.join("-")),
    }
}

/// Compares a file with what it should be, and writes it unless that is not wanted.
fn settle(path: &std::path::Path, dockerfile: &str, check: bool) -> Result<State, Failure> {
    let failed = |error| Failure::new(Exit::Failed, error);
    let there = fs::read_if_there(path).map_err(failed)?;
    Ok(match there {
        Some(bytes) if bytes == dockerfile.as_bytes() => State::Current,
        Some(_) if check => State::Stale,
        None if check => State::Missing,
        _ => {
            fs::write_atomic(path, dockerfile.as_bytes()).map_err(failed)?;
            State::Written
        }
    })
}

fn show(context: &Context, report: &Report) {
    if context.format == Format::Json {
        context.out.json(report);
        return;
    }
    for (position, image) in report.images.iter().enumerate() {
        let say = |what: &str| context.out.message(&format!("{}: {what}", image.file));
        match image.state {
            None => {
                let gap = if position == 0 { "" } else { "\n" };
                context.out.data(&format!("{gap}{}", image.dockerfile));
            }
            Some(State::Current) => {}
            Some(State::Written) => say("written"),
            Some(State::Stale) => context.out.data(&format!("{}: stale\n", image.file)),
            Some(State::Missing) => context.out.data(&format!("{}: missing\n", image.file)),
        }
    }
}
