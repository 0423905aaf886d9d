//! `golden test`: run the tests of images.

use std::path::PathBuf;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::selection::SelectionArgs;
use super::{output_file, session};
use crate::app::build::BuildRequest;
use crate::app::pipeline::secrets;
use crate::app::test::{self, ExistingImages, Tested};
use crate::app::verify::is_reference;
use crate::engine::EngineKind;
use crate::platform::Platform;
use crate::report;

/// Run the tests of images: their `[[test]]` tables.
///
/// An image of the workspace is built first, in memory if it runs no command. A reference or
/// `oci:DIR[:NAME]` is tested as it is. The command shows all results, and exits with 1 if a test
/// fails.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Images of the workspace, by name or glob; references; or `oci:DIR[:NAME]` [default: all
    /// images of the workspace].
    #[arg(value_name = "IMAGE")]
    pub images: Vec<String>,
    /// Image of the workspace whose tests apply to a reference [default: the image of that name].
    #[arg(long, value_name = "IMAGE")]
    pub spec: Option<String>,
    /// Platform of a reference [default: all platforms of the image].
    #[arg(long)]
    pub platform: Option<Platform>,
    /// Engine to build with [default: chosen for each image].
    #[arg(long, value_name = "ENGINE", help_heading = "Build options")]
    pub engine: Option<EngineKind>,
    /// Pass a secret to steps: id=NAME,src=FILE or id=NAME,env=VAR.
    #[arg(long, value_name = "SECRET", help_heading = "Build options")]
    pub secret: Vec<String>,
    /// Fail if golden.lock would have to change.
    #[arg(long, help_heading = "Build options")]
    pub locked: bool,
    /// Override a variable of the workspace.
    #[arg(long, value_name = "NAME=VALUE", help_heading = "Selection options")]
    pub set: Vec<String>,
    /// Also write the results as JUnit XML to FILE.
    #[arg(long, value_name = "FILE", help_heading = "Output options")]
    pub junit: Option<PathBuf>,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let junit = output_file::checked(args.junit, context)?;
    let images = args.images.into_iter();
    let (existing, selected): (Vec<String>, Vec<String>) =
        images.partition(|one| is_reference(one));
    let mut tested = Tested::default();
    if !selected.is_empty() || existing.is_empty() {
        let request = BuildRequest {
            engine: args.engine,
            secrets: secrets::read(&args.secret, &context.env, &context.cwd)?,
            locked: args.locked,
            ..BuildRequest::default()
        };
        let selection = SelectionArgs::of(selected, args.set.clone());
        let session = session::open(context, selection).await?;
        tested = test::workspace(session, request).await?;
    }
    let exit = Exit::of(&tested.ended);
    report::failures(&context.out, &tested.sources, &mut tested.ended);
    if !existing.is_empty() {
        let images = ExistingImages {
            written: &existing,
            spec: args.spec.as_deref(),
            platform: args.platform.as_ref(),
        };
        let selection = SelectionArgs::of(Vec::new(), args.set);
        let session = session::open(context, selection).await?;
        let names = session::names(context, &session.known_destinations(), &existing).await?;
        tested.add_existing(images, session, &names).await?;
    }
    report::tested(&context.out, context.format, &tested);
    output_file::write(junit.as_deref(), || report::junit(&tested.images))?;
    Ok(match exit {
        Exit::Done if tested.has_failed() => Exit::Failed,
        exit => exit,
    })
}
