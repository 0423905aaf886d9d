//! `golden render`: render the Dockerfiles, or with `--out` all files that build the images without
//! golden.

use std::path::PathBuf;

use serde::Serialize;

use super::check::UNKNOWN_FAMILY;
use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::rendered::{self, RenderState};
use super::selection::SelectionArgs;
use super::session;
use crate::app::Session;
use crate::app::pipeline::families;
use crate::app::pipeline::standalone::{self, Rendering};
use crate::app::{prepare, registries};
use crate::engine::Embedded;
use crate::reference::Reference;
use crate::render::{ContextFiles, Renderer, Standalone, Templates};
use crate::report::OutputFormat;
use crate::resolve::ResolvedImage;
use crate::resolve::image::{Base, Family, FamilySource};
use crate::workspace::state;

/// Render the Dockerfiles.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The images to render.
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// Write each image's Dockerfile with its whole build context and a docker-bake.json to
    /// DIR/NAME.
    ///
    /// `docker build DIR/NAME`, `podman build DIR/NAME` and `buildah bud DIR/NAME` then build the
    /// image without golden; `docker buildx bake` in DIR/NAME also adds the labels that are not in
    /// the Dockerfile. A variant has its Dockerfile.VARIANT in the same directory, and a row of a
    /// matrix its Dockerfile.VERSION-VARIANT.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Compare all files in the directory instead of writing them; exit 5 if one differs or belongs
    /// to no image.
    #[arg(long, requires = "out")]
    pub check: bool,
}

/// The rendered files of all images.
#[derive(Debug, Serialize)]
struct RenderReport {
    images: Vec<RenderedImage>,
    /// With `--out`: all files except the Dockerfiles.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    context: Vec<WrittenFile>,
    /// Files of images that no longer exist, relative to `--out`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left: Vec<String>,
}

/// The Dockerfile of an image.
#[derive(Debug, Serialize)]
struct RenderedImage {
    image: String,
    /// The path relative to `--out`.
    file: String,
    dockerfile: String,
    /// With `--out`: the state of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<RenderState>,
}

/// A file in the directory of `--out`.
#[derive(Debug, Serialize)]
struct WrittenFile {
    file: String,
    state: RenderState,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let all = args.selection.images.is_empty() && args.selection.changed.is_none();
    let session = session::open(context, args.selection).await?;
    let report = match &args.out {
        None => dockerfiles(session)?,
        Some(out) => {
            // Boxed, because the compiler limits the nesting depth of futures.
            Box::pin(directories(
                context,
                session,
                &context.cwd.join(out),
                args.check,
                all,
            ))
            .await?
        }
    };
    let images = report.images.iter().filter_map(|image| image.state);
    let mut states = images.chain(report.context.iter().map(|file| file.state));
    let differs = states.any(|state| matches!(state, RenderState::Stale | RenderState::Missing));
    let exit = if differs || (args.check && !report.left.is_empty()) {
        Exit::Difference
    } else {
        Exit::Done
    };
    show(context, &report, args.check);
    Ok(exit)
}

/// Renders only the Dockerfiles. This reads no base.
fn dockerfiles(session: Session) -> Result<RenderReport, Failure> {
    let shown = shown_bases(&session);
    let templates = Templates::from(session.templates);
    let renderer = Renderer::new(&templates);
    let mut images = Vec::new();
    for (image, base) in session.images.iter().zip(&shown) {
        known_family(image)?;
        let options = Standalone {
            base: base.as_deref(),
            traits: None,
            files: ContextFiles::Later,
            suffix: "",
        };
        let dockerfile = renderer.standalone(image, &options)?.dockerfile;
        let file = format!("{}/Dockerfile{}", image.name, suffix(image));
        images.push(RenderedImage {
            image: image.display(),
            file,
            dockerfile,
            state: None,
        });
    }
    Ok(RenderReport {
        images,
        context: Vec::new(),
        left: Vec::new(),
    })
}

/// Fails if the image needs its family and only an unreadable base could show it.
fn known_family(image: &ResolvedImage) -> Result<(), Failure> {
    let reason = match (image.family_source, image.family) {
        (FamilySource::Unknown, _) if image.needs_family() => {
            "the name of its base does not show its family"
        }
        (_, Family::Static) if image.has_packages() => {
            "the name of its base shows that it has no package manager"
        }
        _ => return Ok(()),
    };
    Err(Failure::usage(format!("{}: {reason}", image.display())).hint(UNKNOWN_FAMILY))
}

/// Writes all files that build the images without golden to `out`, or compares them with the
/// existing files.
async fn directories(
    context: &Context,
    mut session: Session,
    out: &std::path::Path,
    check: bool,
    all: bool,
) -> Result<RenderReport, Failure> {
    let templates = Templates::from(session.templates.clone());
    let registries = registries::of_session(&session)?;
    let cache = state::StateDirectory::of(&session.workspace.root).path("cache");
    let embedded = Embedded::new(registries, cache);
    let (deadline, lock, events) = (
        standalone::deadline(),
        &session.workspace.lock,
        &context.events,
    );
    let observed = standalone::observed(&session.images, lock, &embedded, events, deadline).await;
    let settling = families::settle(&mut session.images, &observed, &embedded, events);
    match tokio::time::timeout_at(deadline, settling).await {
        // If a base cannot be read, its name determines the family.
        Ok(Ok(_) | Err(families::Error::Pin(_))) | Err(_) => {}
        Ok(Err(error)) => return Err(error.into()),
    }
    session.images.iter().try_for_each(known_family)?;
    let suffixes: Vec<String> = session.images.iter().map(suffix).collect();
    let rendering = Rendering {
        images: &session.images,
        bases: &shown_bases(&session),
        names: &prepare::local_names(&session)?,
        suffixes: &suffixes,
        templates: &templates,
        observed: &observed,
        deadline,
        embedded: &embedded,
        events: &context.events,
    };
    let rendered = rendering.all().await?;
    let mut directories = rendered::Directories::new(out, check, all);
    let mut images = Vec::new();
    for (image, standalone) in session.images.iter().zip(rendered) {
        let (name, created) = (image.name.as_str(), image.provenance.created);
        let file = format!("{name}/{}", standalone.target.dockerfile);
        let state = directories.settle(name, &standalone.entries, created, &file)?;
        directories.add_target(name, standalone.target);
        images.push(RenderedImage {
            image: image.display(),
            file,
            dockerfile: standalone.dockerfile,
            state: Some(state),
        });
    }
    let (files, left) = directories.finish()?;
    let context = files
        .into_iter()
        .map(|(file, state)| WrittenFile { file, state })
        .collect();
    Ok(RenderReport {
        images,
        context,
        left,
    })
}

/// The reference of each image's base: the locked one, or else the one in the spec.
fn shown_bases(session: &Session) -> Vec<Option<String>> {
    let shown = |(image, written): (&ResolvedImage, &Option<String>)| {
        let locked = session.workspace.lock.get(&image.base).map(|locked| {
            Reference {
                digest: Some(locked.digest.clone()),
                ..locked.reference.clone()
            }
            .to_string()
        });
        let loaded = || match &image.base {
            Base::Layout(layout) => Some(layout.local_name()),
            _ => None,
        };
        locked.or_else(|| written.clone()).or_else(loaded)
    };
    session
        .images
        .iter()
        .zip(&session.bases)
        .map(shown)
        .collect()
}

/// The suffix of the Dockerfile, which distinguishes the images in one directory. Image names are
/// lower case, so no directory has the name of a Dockerfile.
fn suffix(image: &ResolvedImage) -> String {
    let version = (!image.row.is_empty()).then(|| image.version.to_string());
    let parts: Vec<String> = version
        .into_iter()
        .chain(image.variant.as_ref().map(ToString::to_string))
        .collect();
    if parts.is_empty() {
        String::new()
    } else {
        format!(".{}", parts.join("-"))
    }
}

fn show(context: &Context, report: &RenderReport, check: bool) {
    if context.format == OutputFormat::Json {
        context.out.json(report);
        return;
    }
    let files = report
        .images
        .iter()
        .filter_map(|image| Some((image.file.as_str(), image.state?)));
    let mut files: Vec<_> = files
        .chain(
            report
                .context
                .iter()
                .map(|file| (file.file.as_str(), file.state)),
        )
        .collect();
    files.sort_unstable_by_key(|(file, _)| *file);
    for (position, image) in report
        .images
        .iter()
        .filter(|image| image.state.is_none())
        .enumerate()
    {
        let gap = if position == 0 { "" } else { "\n" };
        context.out.data(&format!("{gap}{}", image.dockerfile));
    }
    for (file, state) in files {
        match state {
            RenderState::Current => {}
            RenderState::Written => context.out.message(&format!("{file}: written")),
            RenderState::Stale => context.out.data(&format!("{file}: stale\n")),
            RenderState::Missing => context.out.data(&format!("{file}: missing\n")),
        }
    }
    for file in &report.left {
        if check {
            context.out.data(&format!("{file}: left over\n"));
        } else {
            context.out.message(&format!(
                "{file}: left over from an image that no longer exists; delete it"
            ));
        }
    }
}
