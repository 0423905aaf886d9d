//! `golden render`: render the Dockerfiles, or with `--out` all files that build the images without
//! golden.

use std::path::PathBuf;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::selection::SelectionArgs;
use super::session;
use crate::app::render::{RenderReport, directories, dockerfiles};
use crate::app::rendered::RenderState;
use crate::report::{OutputFormat, dockerfile};

/// Render the Dockerfiles.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The images to render.
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// Write each image's Dockerfile with its whole build context and a docker-bake.json to
    /// DIR/NAME.
    ///
    /// The Dockerfile needs BuildKit (Docker 23 or later) or Buildah 1.33 or later.
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

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let all = args.selection.images.is_empty() && args.selection.changed.is_none();
    let session = session::open(context, args.selection).await?;
    let report = match &args.out {
        None => dockerfiles(&session)?,
        // Boxed, because the compiler limits the nesting depth of futures.
        Some(out) => {
            Box::pin(directories(
                &session,
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
        let dockerfile = if context.out.data_color {
            dockerfile::colored(&image.dockerfile)
        } else {
            image.dockerfile.clone()
        };
        context.out.data(&format!("{gap}{dockerfile}"));
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
