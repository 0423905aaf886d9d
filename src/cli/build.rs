//! `golden build`: build the images and tag them locally; with --push, also publish them.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::selection::SelectionArgs;
use super::{next_steps, output_file, session, unready};
use crate::app::build::{BuildRequest, build};
use crate::app::pipeline::secrets;
use crate::app::pipeline::ssh::SshAgent;
use crate::engine::EngineKind;
use crate::report;
use crate::store::LocalDestination;

/// Build the images and tag them locally; with --push, also publish them.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The images to build.
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// Publish the images to the selected registries.
    #[arg(long, help_heading = "Registry options")]
    pub push: bool,
    /// Move no moving tag, such as `latest`, before all images are uploaded.
    #[arg(long, requires = "push", help_heading = "Registry options")]
    pub atomic: bool,
    /// Maximum number of parallel builds [default: number of CPUs].
    #[arg(long, short, value_name = "N", value_parser = at_least_one, help_heading = "Build options")]
    pub jobs: Option<NonZeroUsize>,
    /// Engine to build with [default: chosen for each image].
    #[arg(long, value_name = "ENGINE", help_heading = "Build options")]
    pub engine: Option<EngineKind>,
    /// Write the images to `oci:DIR[:NAME]` or `docker-archive:FILE[:NAME:TAG]`.
    #[arg(long, value_name = "DESTINATION", help_heading = "Output options")]
    pub to: Option<String>,
    /// Load the images into the Docker Engine.
    #[arg(long, help_heading = "Output options")]
    pub load: bool,
    /// Pass a secret to steps: id=NAME,src=FILE or id=NAME,env=VAR.
    #[arg(long, value_name = "SECRET", help_heading = "Build options")]
    pub secret: Vec<String>,
    /// Forward an ssh agent to steps: default, default=SOCKET or default=KEY.
    #[arg(long, value_name = "AGENT", help_heading = "Build options")]
    pub ssh: Option<String>,
    /// Run all steps again, without the engine's cache.
    #[arg(long, help_heading = "Build options")]
    pub no_cache: bool,
    /// Build even if the inputs are unchanged.
    #[arg(long, help_heading = "Build options")]
    pub force: bool,
    /// Fail if golden.lock would have to change.
    #[arg(long, help_heading = "Build options")]
    pub locked: bool,
    /// Write the build result as JSON to FILE.
    #[arg(long, value_name = "FILE", help_heading = "Output options")]
    pub metadata_file: Option<PathBuf>,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let requested = |to| LocalDestination::requested(to, &context.cwd);
    let to = args.to.as_deref().map(requested).transpose()?;
    let metadata = output_file::checked(args.metadata_file, context)?;
    let request = BuildRequest {
        push: args.push,
        atomic: args.atomic,
        jobs: args.jobs,
        engine: args.engine,
        to,
        load: args.load,
        secrets: secrets::read(&args.secret, &context.env, &context.cwd)?,
        ssh: match &args.ssh {
            Some(agent) => Some(SshAgent::open(agent, &context.env, &context.cwd).await?),
            None => None,
        },
        no_cache: args.no_cache,
        force: args.force,
        locked: args.locked,
    };
    let session = session::open(context, args.selection).await?;
    let mut built = build(session, request)
        .await
        .map_err(|error| unready::failure(context, error))?;
    next_steps::written(context, &built.places);
    output_file::write(metadata.as_deref(), || report::metadata(&built))?;
    let exit = next_steps::summarise(context, &mut built).await;
    if exit == Exit::Done && !args.push {
        next_steps::built(context, &built);
    }
    Ok(exit)
}

/// Parses the value of `--jobs`.
fn at_least_one(text: &str) -> Result<NonZeroUsize, String> {
    let number: usize = text.parse().map_err(|_| "it is not a number".to_owned())?;
    NonZeroUsize::new(number).ok_or_else(|| "--jobs must be at least 1".to_owned())
}
