//! `golden build`: build the images and tag them locally; with --push, also publish them.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::finish::{Summary, finish};
use super::selection::SelectionArgs;
use super::session;
use super::unready as unready_view;
use crate::app::pipeline::{
    Ended, Goal, ImageOutcome, ImageReport, Options, Run, proxies, secrets,
};
use crate::app::prepare::{self, Prepared, RunRequest, logins};
use crate::app::unready;
use crate::app::work::Work;
use crate::engine::{Artifact, EngineKind};
use crate::image::Blobs;
use crate::observe::ConfigCache;
use crate::report::OutputFormat;
use crate::store::LocalDestination;
use crate::store::destination::NamedImage;
use crate::workspace::fs;

/// Build the images and tag them locally; with --push, also publish them.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The images to build.
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// Publish the images to the selected registries.
    #[arg(long, help_heading = "Registry options")]
    pub push: bool,
    /// Move no tag before all images are uploaded.
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
    let to = args
        .to
        .as_deref()
        .map(str::parse::<LocalDestination>)
        .transpose()?;
    let to = to.map(|to| to.below(&context.cwd));
    to.as_ref().map_or(Ok(()), LocalDestination::check)?;
    let metadata = args
        .metadata_file
        .as_ref()
        .map(|file| context.cwd.join(file));
    metadata.as_deref().map(fs::output).transpose()?;
    let secrets = secrets::read(&args.secret, &context.env, &context.cwd)?;
    let goal = match () {
        () if args.push => Goal::Publish,
        () if to.is_some() || args.load => Goal::Write,
        () => Goal::Local,
    };
    let request = RunRequest {
        engine: args.engine,
        goal,
        force: args.force,
        locked: args.locked,
        lock_new: true,
    };
    let mut prepared = prepare(context, args.selection.clone(), &request).await?;
    if to.as_ref().is_some_and(LocalDestination::is_named) {
        need_one_image(&prepared)?;
    }
    if args.atomic {
        unready::refuse_any(&prepared.unready)?;
    }
    need_secrets(&prepared, &secrets)?;
    prepared.write_lock()?;
    let options = Options {
        push: args.push,
        atomic: args.atomic,
        only_push: false,
        rebuild: args.force || args.no_cache,
        jobs: jobs(args.jobs),
        max_in_progress: max_in_progress(args.jobs),
        secrets,
        no_cache: args.no_cache,
        load: args.load,
        keep_built: to.is_some() || is_local_only(&args),
        proxy_args: proxies::build_args(&context.env, docker_config(context).as_ref()),
        logins: logins(&prepared).await?,
    };
    let mut ended = execute(context, &mut prepared, &options).await;
    let places = write(context, &prepared, &ended, to, &args).await?;
    if let Some(file) = &metadata {
        let summary = Summary {
            images: &ended.reports,
            places: &places,
        };
        fs::write_atomic(
            &fs::output(file)?,
            crate::report::json::with_schema(&summary).as_bytes(),
        )?;
    }
    let exit = finish(context, &prepared.session.sources, &mut ended, &places);
    if exit == Exit::Done && !args.push {
        next_steps(context, &prepared, &ended);
    }
    Ok(exit)
}

/// Opens the workspace and makes all decisions about its images.
pub(super) async fn prepare(
    context: &Context,
    selection: SelectionArgs,
    request: &RunRequest,
) -> Result<Prepared, Failure> {
    let session = session::open(context, selection).await?;
    prepare::prepare(session, request)
        .await
        .map_err(|error| unready_view::failure(context, error))
}

/// Runs the prepared builds.
pub(super) async fn execute(
    context: &Context,
    prepared: &mut Prepared,
    options: &Options,
) -> Ended {
    let unready = std::mem::take(&mut prepared.unready);
    let run = Run {
        work: &prepared.work,
        engines: &prepared.engines,
        registries: &prepared.registries,
        policy: &prepared.session.workspace.spec.policy,
        cache: &ConfigCache::of(prepared.state.clone()),
        state: &prepared.state,
        options,
        events: &context.events,
        now: context.now,
    };
    let mut ended = run.to_end().await;
    unready::put_back(unready, &mut ended);
    ended
}

/// The maximum number of parallel builds. The default is the number of CPUs.
pub(super) fn jobs(requested: Option<NonZeroUsize>) -> NonZeroUsize {
    requested
        .or_else(|| std::thread::available_parallelism().ok())
        .unwrap_or(NonZeroUsize::MIN)
}

/// The maximum number of images in progress. The default is higher than the number of CPUs, because
/// publishing mostly waits for the network.
pub(super) fn max_in_progress(requested: Option<NonZeroUsize>) -> NonZeroUsize {
    requested.unwrap_or_else(|| jobs(None).max(NonZeroUsize::MIN.saturating_add(31)))
}

/// Parses the value of `--jobs`.
fn at_least_one(text: &str) -> Result<NonZeroUsize, String> {
    let number: usize = text.parse().map_err(|_| "it is not a number".to_owned())?;
    NonZeroUsize::new(number).ok_or_else(|| "--jobs must be at least 1".to_owned())
}

/// Fails unless exactly one image is selected: a destination with a name takes one image. Base
/// images that are built as well do not count.
fn need_one_image(prepared: &Prepared) -> Result<(), Failure> {
    let selected = prepared.work.iter().filter(|work| work.selected);
    let selected: Vec<String> = selected.map(|work| work.recipe.image.display()).collect();
    if selected.len() == 1 {
        return Ok(());
    }
    let message = format!(
        "--to with a name takes one image, not {}: {}",
        selected.len(),
        selected.join(", ")
    );
    Err(Failure::usage(message)
        .hint("select one image, or omit the name: each image then gets its own name"))
}

/// Fails if a secret that a step requires is missing.
fn need_secrets(
    prepared: &Prepared,
    given: &std::collections::BTreeMap<String, crate::secret::Secret<Vec<u8>>>,
) -> Result<(), Failure> {
    for Work {
        recipe, planned, ..
    } in &prepared.work
    {
        let required = recipe.image.run.iter().flat_map(|step| &step.secrets);
        if let Some(name) = required
            .into_iter()
            .find(|name| planned.step.is_build() && !given.contains_key(*name))
        {
            return Err(secrets::Error::Missing {
                image: recipe.image.display(),
                name: name.clone(),
            }
            .into());
        }
    }
    Ok(())
}

/// Docker's config.json, for its proxy settings. An unreadable file is ignored.
fn docker_config(context: &Context) -> Option<serde_json::Value> {
    let directory = context.var("DOCKER_CONFIG").map(PathBuf::from);
    let directory = directory.or_else(|| {
        context
            .var("HOME")
            .map(|home| PathBuf::from(home).join(".docker"))
    })?;
    let bytes = fs::read_if_exists(&directory.join("config.json")).ok()??;
    serde_json::from_slice(&bytes).ok()
}

/// True if the images are neither published nor loaded into an engine.
const fn is_local_only(args: &Args) -> bool {
    !args.push && !args.load
}

/// Writes the assembled images to the destination of `--to`; without that option, to `.golden/oci`,
/// if they are neither published nor loaded. Fails if `--to` is given and no image was assembled.
async fn write(
    context: &Context,
    prepared: &Prepared,
    ended: &Ended,
    to: Option<LocalDestination>,
    args: &Args,
) -> Result<Vec<String>, Failure> {
    let is_requested = to.is_some();
    if !is_requested && !is_local_only(args) {
        return Ok(Vec::new());
    }
    let default = || LocalDestination::Layout {
        directory: prepared.state.path("oci"),
        name: None,
    };
    let destination = to.unwrap_or_else(default);
    let is_written = |at: &usize| !destination.is_named() || prepared.work[*at].selected;
    let built = ended
        .built
        .iter()
        .filter(|(position, _)| is_written(position));
    let assembled = built.filter_map(|(position, built)| match &built.artifact {
        Artifact::Assembled(image) => Some((*position, image)),
        Artifact::Docker { .. } => None,
    });
    let mut named = Vec::new();
    for (position, image) in assembled {
        named.push(NamedImage {
            image,
            references: prepared.work[position].local.clone(),
        });
    }
    if named.is_empty() {
        return if is_requested && ended.failures.is_empty() {
            Err(Failure::usage(
                "--to writes only images that the embedded engine built, and this run built none with it",
            )
            .hint("`docker save` writes an image of the Docker Engine"))
        } else {
            Ok(Vec::new())
        };
    }
    if !is_requested {
        prepared.state.make()?;
    }
    let places = destination
        .write(
            &named,
            &Blobs::new(prepared.registries.clone()),
            &context.events,
        )
        .await?;
    for place in &places {
        context.events.note(None, format!("written to {place}"));
        context
            .events
            .note(None, format!("next: {}", view_command(context, place)));
    }
    Ok(places)
}

/// A command that shows the written image. It needs no tool that may be missing.
fn view_command(context: &Context, place: &str) -> String {
    match place.strip_prefix("docker-archive:") {
        Some(file) => format!("docker load -i {}", shell_word(file)),
        None => format!(
            "{} inspect {}",
            shell_word(&context.program),
            shell_word(place)
        ),
    }
}

/// Quotes a word for a shell, if necessary.
fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@,=%".contains(c);
    if text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// The command that publishes the selected images.
fn push_command(context: &Context, prepared: &Prepared) -> String {
    let program = match &context.globals.workspace {
        Some(directory) => format!("golden -w {}", shell_word(&directory.display().to_string())),
        None => "golden".to_owned(),
    };
    // Without names, the command publishes all images of the workspace.
    if prepared.work.iter().all(|work| work.selected) && prepared.work.len() > 1 {
        return format!("{program} push");
    }
    let mut names: Vec<String> = prepared
        .work
        .iter()
        .filter(|work| work.selected)
        .map(|work| work.recipe.image.name.to_string())
        .collect();
    names.dedup();
    format!("{program} push {}", names.join(" "))
}

/// Shows the next steps for the built images.
fn next_steps(context: &Context, prepared: &Prepared, ended: &Ended) {
    if context.format != OutputFormat::Text || context.globals.quiet {
        return;
    }
    let is_built = |report: &&ImageReport| report.outcome == ImageOutcome::Built;
    let built: Vec<&ImageReport> = ended.reports.iter().filter(is_built).collect();
    if !prepared.session.destinations.is_empty() {
        if !built.is_empty() {
            let command = push_command(context, prepared);
            context
                .events
                .note(None, format!("publish exactly this: {command}"));
        }
        return;
    }
    if let Some(name) = ended.reports.iter().find_map(|report| report.local.first()) {
        context
            .events
            .note(None, format!("next: docker image inspect {name}"));
    }
    if !built.is_empty() {
        context.events.note(
            None,
            "publish it: golden build --push --registry HOST[:PORT][/NAMESPACE]",
        );
    }
}
