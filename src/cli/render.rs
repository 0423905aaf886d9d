//! `golden render`: render the Dockerfiles, or with `--out` all files that build the images without
//! golden.

use std::path::PathBuf;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::selection::SelectionArgs;
use super::session;
use crate::app::render::{directories, dockerfiles};
use crate::app::rendered::RenderState;
use crate::report::{self, OutputFormat};

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
    let rendered = match &args.out {
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
    let images = rendered.images.iter().filter_map(|image| image.state);
    let mut states = images.chain(rendered.context.iter().map(|file| file.state));
    let differs = states.any(|state| matches!(state, RenderState::Stale | RenderState::Missing));
    let exit = if differs || (args.check && !rendered.left.is_empty()) {
        Exit::Difference
    } else {
        Exit::Done
    };
    match context.format {
        OutputFormat::Json => context.out.json(&rendered),
        _ => report::rendered(&context.out, &rendered, args.check),
    }
    Ok(exit)
}
