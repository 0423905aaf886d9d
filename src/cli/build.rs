//! `golden build`: build, tag locally, and with --push publish.

use std::path::PathBuf;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use crate::engine::EngineKind;

/// Build, tag locally, and with --push publish.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Images to build, by name or glob; all without.
    pub images: Vec<String>,
    /// Publish to the registry.
    #[arg(long)]
    pub push: bool,
    /// Move no tag before all images are uploaded.
    #[arg(long, requires = "push")]
    pub atomic: bool,
    /// How many images at once; the number of cores without.
    #[arg(long, short, value_name = "N")]
    pub jobs: Option<std::num::NonZeroUsize>,
    /// Which engine builds.
    #[arg(long, value_name = "ENGINE")]
    pub engine: Option<EngineKind>,
    /// Where an assembled image is written: oci:DIR or docker-archive:FILE.
    #[arg(long, value_name = "DESTINATION")]
    pub to: Option<String>,
    /// Load an assembled image into the Docker Engine.
    #[arg(long)]
    pub load: bool,
    /// A secret for steps: id=NAME,src=FILE or id=NAME,env=VAR.
    #[arg(long, value_name = "SECRET")]
    pub secret: Vec<String>,
    /// Set a variable of the workspace.
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// Build steps anew even if the engine remembers them.
    #[arg(long)]
    pub no_cache: bool,
    /// Build in spite of equal inputs.
    #[arg(long)]
    pub force: bool,
    /// Refuse to change golden.lock.
    #[arg(long)]
    pub locked: bool,
    /// Write what was built, as JSON, to this file.
    #[arg(long, value_name = "FILE")]
    pub metadata_file: Option<PathBuf>,
    /// Only images that changed since this commit.
    #[arg(long, value_name = "SINCE")]
    pub changed: Option<String>,
    /// Also the images that are built on the selected ones.
    #[arg(long)]
    pub with_dependants: bool,
}

/// Runs the command.
#[expect(clippy::unused_async, reason = "not yet")]
pub async fn run(_args: Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::usage("`golden build` is not there yet"))
}
