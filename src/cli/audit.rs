//! `golden audit`: apply the policy to published images, from any tool or publisher.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::session::{self, destinations, names};
use super::sign::signing;
use crate::app::audit::audit;
use crate::app::audit_files::{FileGlobs, audit_files};
use crate::app::destinations::Destinations;
use crate::config_files::KeySource;
use crate::diagnostic::SourceMap;
use crate::report::text::count;
use crate::report::{self, OutputFormat};
use crate::workspace::Workspace;

/// Apply the policy of the workspace to published images, from any tool or publisher.
///
/// The rules about labels, user, ports, environment and required artifacts are applied. For a
/// repository without a tag, every tag is checked; HOST/NAMESPACE/** means every repository of a
/// namespace. Then the output is a table. `--format html` writes a page for a browser.
///
/// With --dockerfile, --compose or --kubernetes, the images that these files name are checked: the
/// rules about bases, newer patches, changed digests and signatures.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// References, repositories such as registry.example.com/team/app, globs such as
    /// registry.example.com/team/**, or names of workspace images.
    #[arg(value_name = "REF|HOST/REPO", required_unless_present_any = FILES, conflicts_with_all = FILES)]
    pub references: Vec<String>,
    /// Attach a signed verification summary (SLSA) to each image that complies.
    #[arg(long, conflicts_with_all = FILES)]
    pub attest: bool,
    /// Private key for --attest: a file, `env:NAME` or `plugin:NAME://KEY` [default: the key of
    /// golden.toml].
    #[arg(long, value_name = "KEY", requires = "attest")]
    pub key: Option<KeySource>,
    /// Check the FROM lines of these Dockerfiles.
    #[arg(long, value_name = "GLOB", help_heading = "File options")]
    pub dockerfile: Vec<String>,
    /// Check the images of these Compose files.
    #[arg(long, value_name = "GLOB", help_heading = "File options")]
    pub compose: Vec<String>,
    /// Check the images of these Kubernetes manifests.
    #[arg(long, value_name = "GLOB", help_heading = "File options")]
    pub kubernetes: Vec<String>,
    /// Write newer patches and digests into the files; nothing else changes.
    #[arg(long, conflicts_with = "references", help_heading = "File options")]
    pub fix: bool,
}

/// The options that select files.
const FILES: [&str; 3] = ["dockerfile", "compose", "kubernetes"];

/// Runs the command. An image that cannot be read is reported; the other images are still checked.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let Some(workspace) = session::workspace(context).await? else {
        return Err(
            Failure::usage("no golden.toml was found, so there is no policy to apply")
                .hint("run it in a workspace, or specify one: golden -w DIR audit REF…"),
        );
    };
    let destinations = destinations(context).await?;
    if args.references.is_empty() {
        return run_on_files(args, context, &workspace, &destinations).await;
    }
    let names = names(context, &destinations, &args.references).await?;
    let settings = context.settings();
    let signing = if args.attest {
        Some(signing(args.key.as_ref(), context, Some(&workspace)).await?)
    } else {
        None
    };
    let mut audited = audit(
        &args.references,
        &names,
        &workspace,
        &settings,
        &destinations,
        signing.as_ref().map(|signing| &signing.signer),
    )
    .await?;
    report::scan_problems(&context.events, &audited.problems);
    for image in &audited.images {
        report::send_findings(&context.events, &image.found, &SourceMap::default());
    }
    if context.format == OutputFormat::Html {
        let page = report::audited_page(&audited, context.now);
        context.out.data(&page.map_err(invalid_template)?);
    } else {
        report::audited(&context.out, context.format, &audited);
    }
    if context.format != OutputFormat::Json {
        report::audit_summaries(&context.out, &audited.attested);
    }
    let mut failures = std::mem::take(&mut audited.failures);
    if let Some(last) = failures.pop() {
        for failure in failures {
            Failure::from(failure).show(context);
        }
        return Err(last.into());
    }
    if !audited.problems.is_empty() {
        return Err(Failure::shown(Exit::Failed));
    }
    let found = audited.images.iter();
    let has_errors = found.clone().any(|image| !image.compliant);
    let is_clean = found.clone().all(|image| image.found.is_empty());
    if is_clean && !audited.is_survey && context.format == OutputFormat::Text {
        context.out.message(&format!(
            "{} checked; no policy violations",
            count(audited.images.len(), "image")
        ));
    }
    Ok(if has_errors { Exit::Policy } else { Exit::Done })
}

fn invalid_template(error: minijinja::Error) -> Failure {
    Failure::new(Exit::Failed, error)
}

/// Checks files, and corrects them if requested.
async fn run_on_files(
    args: Args,
    context: &Context,
    workspace: &Workspace,
    destinations: &Destinations,
) -> Result<Exit, Failure> {
    let globs = FileGlobs {
        dockerfile: args.dockerfile,
        compose: args.compose,
        kubernetes: args.kubernetes,
    };
    let settings = context.settings();
    let audited = audit_files(&globs, args.fix, workspace, &settings, destinations).await?;
    report::send_findings(&context.events, &audited.found, &audited.sources);
    if context.format == OutputFormat::Html {
        let page = report::audited_files_page(&audited, context.now);
        context.out.data(&page.map_err(invalid_template)?);
    } else {
        report::audited_files(&context.out, context.format, &audited);
    }
    let mut failures = audited.problems.into_iter().map(|problem| {
        let error = anyhow::anyhow!(problem);
        Failure::new(Exit::Failed, error)
    });
    if let Some(first) = failures.next() {
        for failure in failures {
            failure.show(context);
        }
        return Err(first);
    }
    Ok(session::exit_of(&audited.found).unwrap_or(Exit::Done))
}
