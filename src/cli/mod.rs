//! The command line: arguments, dispatch, and one file for each command.

pub mod attach;
pub mod attest;
pub mod audit;
pub mod build;
pub mod bump;
pub mod channels;
pub mod check;
mod codes;
mod complete;
pub mod completions;
pub(crate) mod confirm;
pub mod context;
pub mod delete;
pub mod diff;
pub mod doctor;
pub mod error;
pub mod examples;
mod exit;
mod explain;
pub mod fmt;
pub(crate) mod format;
pub mod graph;
mod groups;
pub mod help;
pub mod impact;
pub mod init;
pub mod inspect;
pub mod key;
pub mod lifecycle;
mod logs;
pub mod ls;
pub mod man;
pub mod matrix;
pub mod new;
mod next_steps;
pub mod outdated;
mod output_file;
mod packages;
mod panic;
mod password;
pub mod plan;
pub mod promote;
pub mod prune;
pub mod push;
pub mod referrers;
pub mod render;
pub mod report;
pub mod reproduce;
pub mod revoke;
pub mod rollback;
mod run;
pub mod sbom;
pub mod schema;
pub mod selection;
pub mod serve;
pub mod session;
pub mod sign;
mod surroundings;
mod synonyms;
pub mod tags;
pub mod test;
mod unavailable;
mod unready;
pub mod update;
pub mod verify;
mod watchdog;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub use context::Context;
pub use error::Failure;
pub use exit::Exit;

/// Builds, tags and publishes golden images.
#[derive(Debug, Parser)]
#[command(
    name = "golden",
    version,
    long_version = env!("GOLDEN_VERSION"),
    about,
    long_about = None,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// Options that every command accepts.
    #[command(flatten)]
    pub globals: GlobalArgs,
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
}

/// The global options, which may be given before or after the command.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// Workspace directory [default: nearest parent with golden.toml or images/golden.toml].
    #[arg(short, long, global = true, value_name = "DIR")]
    pub workspace: Option<PathBuf>,
    /// Output format; the help of each command lists its formats.
    #[arg(long, global = true, value_name = "FORMAT")]
    pub format: Option<String>,
    /// Destination: the name of a `[[registry]]`, or `HOST[:PORT][/NAMESPACE]` [env:
    /// `GOLDEN_REGISTRY`].
    #[arg(
        long,
        global = true,
        value_name = "REGISTRY",
        help_heading = "Registry options"
    )]
    pub registry: Vec<String>,
    /// Use every `[[registry]]` of the workspace.
    #[arg(
        long,
        global = true,
        conflicts_with = "registry",
        help_heading = "Registry options"
    )]
    pub all_registries: bool,
    /// Use plain HTTP for HOST, even if it is another machine, and send the login in clear text.
    #[arg(
        long,
        global = true,
        value_name = "HOST",
        help_heading = "Registry options"
    )]
    pub insecure_registry: Vec<String>,
    /// Print errors only.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Verbose output (-vv logs every HTTP request).
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Colour the output.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,
    /// Show no progress.
    #[arg(long, global = true)]
    pub no_progress: bool,
    /// Write the events of the run to FILE, each as a line of JSON.
    #[arg(long, global = true, value_name = "FILE")]
    pub events: Option<PathBuf>,
}

/// Values of `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ColorChoice {
    /// On terminals, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Use colors, also in a pipe.
    Always,
    /// Use no colors.
    Never,
}

/// The commands of golden.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create a workspace with commented example files, ready to build.
    Init(init::Args),
    /// Create an image in this workspace.
    New(new::Args),
    /// Parse and validate the specs, and apply the policy to them.
    Check(check::Args),
    /// Format golden.toml and image.toml in one layout.
    Fmt(fmt::Args),
    /// Write the next version of images into their specs.
    Bump(bump::Args),
    /// Render the Dockerfiles.
    Render(render::Args),
    /// Show what `build --push` would do.
    Plan(plan::Args),
    /// Build the images and tag them locally; with --push, also publish them.
    Build(build::Args),
    /// Publish the built images.
    Push(push::Args),
    /// Run the tests of images: their `[[test]]` tables.
    Test(test::Args),
    /// Show the tags of a version, and which of them may move.
    Tags(tags::Args),
    /// Check that every tag exists and points to the right image.
    Verify(verify::Args),
    /// Apply the policy to published images, from any tool or publisher.
    Audit(audit::Args),
    /// List the published images that are built on an image.
    Impact(impact::Args),
    /// List the repositories of a registry, or the tags of a repository.
    Ls(ls::Args),
    /// Show the manifest, config, labels and layers of an image, and all tags of its digest.
    Inspect(inspect::Args),
    /// Show the difference between two images: packages, files, config, base and size.
    Diff(diff::Args),
    /// Print the bill of materials of an image.
    Sbom(sbom::Args),
    /// Show the artifacts that refer to an image: signatures, bills of materials, attestations.
    Referrers(referrers::Args),
    /// Sign published images: the index and the image of each platform.
    Sign(sign::Args),
    /// Attach a signed statement to a published image, such as the result of a scan.
    Attest(attest::Args),
    /// Attach a Sigstore bundle that another program made to a published image.
    Attach(attach::Args),
    /// Create keys for signing.
    Key(key::Args),
    /// Build a published image again from its provenance, and compare the digests.
    Reproduce(reproduce::Args),
    /// Delete images by digest, and verify the deletion.
    Delete(delete::Args),
    /// Copy images by digest between repositories or registries.
    Promote(promote::Args),
    /// Show the channels of images, and the versions that they point to.
    Channels(channels::Args),
    /// Move the tags back to an earlier version.
    Rollback(rollback::Args),
    /// Announce that published images must not be used.
    Revoke(revoke::Args),
    /// Announce the end of life and the revoked versions that the specs declare.
    Lifecycle(lifecycle::Args),
    /// List bases that changed since golden.lock (exit 5 if there are any).
    Outdated(outdated::Args),
    /// Update golden.lock to the current digests of the bases.
    Update(update::Args),
    /// Show which image is built on which.
    Graph(graph::Args),
    /// Write a static site about the images of the workspace.
    Report(report::Args),
    /// Print the build as waves of CI jobs.
    Matrix(matrix::Args),
    /// Delete old versions by retention rules.
    Prune(prune::Args),
    /// Serve a directory as a registry on this machine.
    Serve(serve::Args),
    /// Check the engines, registries, git, disk and clock.
    Doctor(doctor::Args),
    /// Show the help of a command, or a chapter of the guide.
    Help(help::Args),
    /// Print the JSON Schema of image.toml or golden.toml.
    Schema(schema::Args),
    /// Print completions for a shell.
    Completions(completions::Args),
    /// Print the manual page.
    Man(man::Args),
}

impl Command {
    /// The name of the command on the command line.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Init(_) => "init",
            Self::New(_) => "new",
            Self::Check(_) => "check",
            Self::Fmt(_) => "fmt",
            Self::Bump(_) => "bump",
            Self::Render(_) => "render",
            Self::Plan(_) => "plan",
            Self::Build(_) => "build",
            Self::Push(_) => "push",
            Self::Test(_) => "test",
            Self::Tags(_) => "tags",
            Self::Verify(_) => "verify",
            Self::Audit(_) => "audit",
            Self::Impact(_) => "impact",
            Self::Ls(_) => "ls",
            Self::Inspect(_) => "inspect",
            Self::Diff(_) => "diff",
            Self::Sbom(_) => "sbom",
            Self::Referrers(_) => "referrers",
            Self::Sign(_) => "sign",
            Self::Attest(_) => "attest",
            Self::Attach(_) => "attach",
            Self::Key(_) => "key",
            Self::Reproduce(_) => "reproduce",
            Self::Delete(_) => "delete",
            Self::Promote(_) => "promote",
            Self::Channels(_) => "channels",
            Self::Rollback(_) => "rollback",
            Self::Revoke(_) => "revoke",
            Self::Lifecycle(_) => "lifecycle",
            Self::Outdated(_) => "outdated",
            Self::Update(_) => "update",
            Self::Graph(_) => "graph",
            Self::Report(_) => "report",
            Self::Matrix(_) => "matrix",
            Self::Prune(_) => "prune",
            Self::Serve(_) => "serve",
            Self::Doctor(_) => "doctor",
            Self::Help(_) => "help",
            Self::Schema(_) => "schema",
            Self::Completions(_) => "completions",
            Self::Man(_) => "man",
        }
    }

    /// The result if a signal stops the command. A server runs until then.
    const fn on_signal(&self) -> run::OnSignal {
        match self {
            Self::Serve(_) => run::OnSignal::Done,
            _ => run::OnSignal::Interrupted(self.resumed()),
        }
    }

    /// The hint after an interruption, for commands that may leave partial work.
    const fn resumed(&self) -> Option<&'static str> {
        match self {
            Self::Build(_)
            | Self::Push(_)
            | Self::Promote(_)
            | Self::Sign(_)
            | Self::Attest(_)
            | Self::Attach(_)
            | Self::Rollback(_)
            | Self::Revoke(_)
            | Self::Lifecycle(_)
            | Self::Prune(_)
            | Self::Update(_) => Some("run the same command again to finish the work"),
            Self::Delete(_) => {
                Some("run the same command again to finish; `golden ls` lists the remaining tags")
            }
            _ => None,
        }
    }
}

async fn dispatch(command: Command, context: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Init(args) => init::run(args, context).await,
        Command::New(args) => new::run(args, context).await,
        Command::Check(args) => check::run(args, context).await,
        Command::Fmt(args) => fmt::run(args, context).await,
        Command::Bump(args) => bump::run(args, context).await,
        Command::Render(args) => render::run(args, context).await,
        Command::Plan(args) => plan::run(args, context).await,
        Command::Build(args) => build::run(args, context).await,
        Command::Push(args) => push::run(args, context).await,
        Command::Test(args) => test::run(args, context).await,
        Command::Tags(args) => tags::run(args, context).await,
        Command::Verify(args) => verify::run(args, context).await,
        Command::Audit(args) => audit::run(args, context).await,
        Command::Impact(args) => impact::run(args, context).await,
        Command::Ls(args) => ls::run(args, context).await,
        Command::Inspect(args) => inspect::run(args, context).await,
        Command::Diff(args) => diff::run(args, context).await,
        Command::Sbom(args) => sbom::run(args, context).await,
        Command::Referrers(args) => referrers::run(args, context).await,
        Command::Sign(args) => sign::run(args, context).await,
        Command::Attest(args) => attest::run(args, context).await,
        Command::Attach(args) => attach::run(args, context).await,
        Command::Key(args) => key::run(args, context).await,
        Command::Reproduce(args) => reproduce::run(args, context).await,
        Command::Delete(args) => delete::run(args, context).await,
        Command::Promote(args) => promote::run(args, context).await,
        Command::Channels(args) => channels::run(args, context).await,
        Command::Revoke(args) => revoke::run(args, context).await,
        Command::Lifecycle(args) => lifecycle::run(args, context).await,
        Command::Rollback(args) => rollback::run(args, context).await,
        Command::Outdated(args) => outdated::run(args, context).await,
        Command::Update(args) => update::run(args, context).await,
        Command::Graph(args) => graph::run(args, context).await,
        Command::Report(args) => report::run(args, context).await,
        Command::Matrix(args) => matrix::run(args, context).await,
        Command::Prune(args) => prune::run(args, context).await,
        Command::Serve(args) => serve::run(args, context).await,
        Command::Doctor(args) => doctor::run(args, context).await,
        Command::Help(args) => help::run(args, context).await,
        Command::Schema(args) => schema::run(args, context).await,
        Command::Completions(args) => completions::run(args, context).await,
        Command::Man(args) => man::run(args, context).await,
    }
}

/// The parser of the command line, with the help of each command.
fn parser() -> clap::Command {
    Cli::command().mut_subcommands(|command| {
        examples::document(groups::without_unused(format::document(command)))
    })
}

/// Parses `args`, runs the command, and returns the exit code of the process.
///
/// It is not generic, so that its code is compiled in the library only, and not again in the program.
#[must_use]
pub fn main(args: Vec<OsString>) -> ExitCode {
    if let Some(exit) = complete::command_line(&args) {
        return exit;
    }
    let program = args.first().map_or_else(
        || "golden".into(),
        |name| name.to_string_lossy().into_owned(),
    );
    let parsed = groups::grouped(parser())
        .try_get_matches_from(args)
        .and_then(|found| Cli::from_arg_matches(&found));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            let error = synonyms::explain(error);
            let exit = if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            };
            // If the message cannot be printed, there is no other place to report it.
            drop(error.print());
            return ExitCode::from(exit.code());
        }
    };
    let Some(mut context) = surroundings::read(cli.globals, program) else {
        return ExitCode::from(Exit::Failed.code());
    };
    panic::install(context.out.direct());
    logs::install(&context);
    if let Err(failure) = groups::check(cli.command.name(), &context.globals) {
        return run::end(&context, Err(failure));
    }
    let terminal = surroundings::is_stdout_a_terminal();
    match format::choose(&cli.command, context.globals.format.as_deref(), terminal) {
        Ok(format) => context.format = format,
        Err(failure) => return run::end(&context, Err(failure)),
    }
    let log = match run::event_log(&context, cli.command.name()) {
        Ok(log) => log,
        Err(failure) => return run::end(&context, Err(failure)),
    };
    let on_signal = cli.command.on_signal();
    run::to_end(context, log, on_signal, |context| async move {
        dispatch(cli.command, &context).await
    })
}
