//! `golden test`: run the tests of images.

use std::path::PathBuf;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::selection::SelectionArgs;
use super::session::{self, destinations, names};
use crate::app::build::BuildRequest;
use crate::app::pipeline::secrets;
use crate::app::test::{self, ExistingImage, TestedImage};
use crate::app::verify::is_reference;
use crate::diagnostic::SourceMap;
use crate::engine::EngineKind;
use crate::platform::Platform;
use crate::report::{self, OutputFormat};
use crate::workspace::fs;

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
    let junit = args.junit.as_ref().map(|file| context.cwd.join(file));
    junit.as_deref().map(fs::output).transpose()?;
    let (existing, selected): (Vec<String>, Vec<String>) = args
        .images
        .iter()
        .cloned()
        .partition(|argument| is_reference(argument));
    let mut results = Results::default();
    if !selected.is_empty() || existing.is_empty() {
        results.of_workspace(&args, selected, context).await?;
    }
    if !existing.is_empty() {
        results.of_existing(&args, &existing, context).await?;
    }
    results.show(context);
    if let Some(file) = &junit {
        let text = report::junit(&results.images);
        fs::write_atomic(&fs::output(file)?, text.as_bytes())?;
    }
    let has_failed = results.images.iter().any(TestedImage::has_failed);
    Ok(match results.built {
        Exit::Done if has_failed => Exit::Failed,
        exit => exit,
    })
}

/// The results of all images.
struct Results {
    images: Vec<TestedImage>,
    sources: SourceMap,
    /// The outcome of the builds.
    built: Exit,
}

impl Default for Results {
    fn default() -> Self {
        Self {
            images: Vec::new(),
            sources: SourceMap::default(),
            built: Exit::Done,
        }
    }
}

impl Results {
    async fn of_workspace(
        &mut self,
        args: &Args,
        selected: Vec<String>,
        context: &Context,
    ) -> Result<(), Failure> {
        let request = BuildRequest {
            engine: args.engine,
            secrets: secrets::read(&args.secret, &context.env, &context.cwd)?,
            locked: args.locked,
            ..BuildRequest::default()
        };
        let selection = SelectionArgs::of(selected, args.set.clone());
        let session = session::open(context, selection).await?;
        let mut tested = test::workspace(session, request).await?;
        self.built = Exit::of(&tested.ended);
        report::failures(
            &context.out,
            &tested.prepared.session.sources,
            &mut tested.ended,
        );
        self.sources = tested.prepared.session.sources;
        self.images.extend(tested.images);
        Ok(())
    }

    async fn of_existing(
        &mut self,
        args: &Args,
        existing: &[String],
        context: &Context,
    ) -> Result<(), Failure> {
        let selection = SelectionArgs::of(Vec::new(), args.set.clone());
        let session = session::open(context, selection).await?;
        let destinations = destinations(context).await?;
        let names = names(context, &destinations, existing).await?;
        for written in existing {
            let request = ExistingImage {
                written,
                spec: args.spec.as_deref(),
                platform: args.platform.as_ref(),
            };
            self.images
                .push(test::existing(request, &session, &names).await?);
        }
        self.sources = session.sources;
        Ok(())
    }

    fn show(&self, context: &Context) {
        match context.format {
            OutputFormat::Json => context.out.json(&report::TestSummary::of(&self.images)),
            OutputFormat::Junit => context.out.data(&report::junit(&self.images)),
            _ => report::tested(&context.out, &self.images, &self.sources),
        }
    }
}
