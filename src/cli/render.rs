//! `golden render`: render the Dockerfiles.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::check::UNKNOWN_FAMILY;
use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::session::{Session, SessionOptions};
use crate::reference::Reference;
use crate::render::{MARK, Renderer, Templates};
use crate::report::Format;
use crate::resolve::ResolvedImage;
use crate::resolve::image::{Family, FamilySource};
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
    /// Fail (exit 5) when those in the directory are stale, or when one is there that no image renders to; write nothing.
    #[arg(long, requires = "out")]
    pub check: bool,
}

/// What was rendered of all images.
#[derive(Debug, Serialize)]
struct Report {
    images: Vec<RenderedImage>,
    /// Rendered once, by an image that is not there any more; below `--out`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left: Vec<String>,
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
    let all = args.selection.images.is_empty() && args.selection.changed.is_none();
    let session = Session::open(context, &args.selection).await?;
    let templates = Templates::from(session.templates);
    let renderer = Renderer::new(&templates);
    let mut images = Vec::new();
    for (image, written) in session.images.iter().zip(&session.bases) {
        known_family(image)?;
        let locked = session.workspace.lock.get(&image.base).map(|locked| {
            Reference { digest: Some(locked.digest.clone()), ..locked.reference.clone() }.to_string()
        });
        let base = locked.as_deref().or(written.as_deref());
        let dockerfile = renderer.dockerfile(image, base)?;
        let (image, file) = (image.display(), file(image));
        images.push(RenderedImage { image, file, dockerfile, state: None });
    }
    let mut left = Vec::new();
    if let Some(out) = &args.out {
        let out = context.cwd.join(out);
        for image in &mut images {
            image.state = Some(settle(&out.join(&image.file), &image.dockerfile, args.check)?);
        }
        // What a selection leaves out is not left over.
        if all {
            left = left_over(&out, &images.iter().map(|image| image.file.as_str()).collect());
        }
    }
    let stale = |image: &RenderedImage| matches!(image.state, Some(State::Stale | State::Missing));
    let differs = images.iter().any(stale) || (args.check && !left.is_empty());
    let exit = if differs { Exit::Difference } else { Exit::Done };
    show(context, &Report { images, left }, args.check);
    Ok(exit)
}

/// Refuses an image whose family only its base can show: rendering reads nothing outside the workspace.
fn known_family(image: &ResolvedImage) -> Result<(), Failure> {
    let what = match (image.family_source, image.family) {
        (FamilySource::Unknown, _) if image.needs_family() => "the name of its base does not show its family",
        (_, Family::Static) if image.has_packages() => "its base has no package manager, as its name shows",
        _ => return Ok(()),
    };
    Err(Failure::usage(format!("{}: {what}", image.display())).hint(UNKNOWN_FAMILY))
}

/// Dockerfiles below `out` that golden rendered and that are none of `files`. What people put there is theirs.
fn left_over(out: &Path, files: &BTreeSet<&str>) -> Vec<String> {
    let entries = walkdir::WalkDir::new(out).sort_by_file_name().into_iter().flatten();
    let rendered = entries.filter(|entry| entry.file_type().is_file()).filter_map(|entry| {
        let name = entry.file_name().to_str()?;
        let path = entry.path().strip_prefix(out).ok()?.to_str()?.replace('\\', "/");
        let ours = name == "Dockerfile" || name.starts_with("Dockerfile.");
        if !ours || files.contains(path.as_str()) {
            return None;
        }
        let text = fs::read(entry.path()).ok()?;
        let first = text.split(|byte| *byte == b'\n').next()?;
        first.ends_with(MARK.as_bytes()).then_some(path)
    });
    rendered.collect()
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

fn show(context: &Context, report: &Report, check: bool) {
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
    for file in &report.left {
        if check {
            context.out.data(&format!("{file}: left over\n"));
        } else {
            context.out.message(&format!("{file}: left over from an image that is gone; delete it"));
        }
    }
}
