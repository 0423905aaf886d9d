//! `golden audit`: apply the policy to published images, from any tool or publisher.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::session::{exit_of, scope};
use super::sign::signing;
use crate::app::Error;
use crate::app::audit::audit;
use crate::app::audit_files::{FileGlobs, audit_files};
use crate::config_files::KeySource;
use crate::diagnostic::SourceMap;
use crate::report;

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
    let scope = scope(context, &args.references).await?;
    let Some(workspace) = &scope.workspace else {
        return Err(
            Failure::usage("no golden.toml was found, so there is no policy to apply")
                .hint("run it in a workspace, or specify one: golden -w DIR audit REF…"),
        );
    };
    if args.references.is_empty() {
        let globs = FileGlobs {
            dockerfile: args.dockerfile,
            compose: args.compose,
            kubernetes: args.kubernetes,
        };
        let audited = audit_files(&globs, args.fix, workspace, &scope).await?;
        report::send_findings(&context.events, &audited.found, &audited.sources);
        report::audited_files(&context.out, context.format, &audited, context.now)?;
        Failure::require_none(audited.problems.into_iter().map(Error::failed), context)?;
        return Ok(exit_of(&audited.found).unwrap_or(Exit::Done));
    }
    let signing = if args.attest {
        Some(signing(args.key.as_ref(), context, Some(workspace)).await?)
    } else {
        None
    };
    let signer = signing.as_ref().map(|signing| &signing.signer);
    let audited = audit(&args.references, workspace, &scope, signer).await?;
    report::scan_problems(&context.events, &audited.problems);
    for image in &audited.images {
        report::send_findings(&context.events, &image.found, &SourceMap::default());
    }
    report::audited(&context.out, context.format, &audited, context.now)?;
    let complies = audited.complies();
    Failure::require_none(audited.failures, context)?;
    if !audited.problems.is_empty() {
        return Err(Failure::shown(Exit::Failed));
    }
    Ok(if complies { Exit::Done } else { Exit::Policy })
}
