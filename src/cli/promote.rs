//! `golden promote`: copy by digest between repositories or registries.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::session::scope;
use crate::app::promote::{PromoteRequest, promote};
use crate::app::signatures;
use crate::report::{self, OutputFormat};

/// Copy images by digest between repositories or registries.
///
/// Within a registry, blobs are mounted; between registries, they are streamed. The bytes of the
/// manifest and therefore the digest do not change. Signatures and SBOMs are copied before the tags
/// are put. If golden.toml has a signing key, the image is also signed for its new repository. If the
/// destination has the version with other content, the command refuses (exit 4).
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Image to copy: a reference, or the name of a workspace image.
    #[arg(value_name = "SRC")]
    pub source: String,
    /// Destination: a repository, a reference with a tag, or the name of a workspace image.
    #[arg(value_name = "DST")]
    pub destination: String,
    /// Also copy the other tags of the same digest; moving tags move by the usual rules.
    #[arg(long)]
    pub tags: bool,
    /// Copy the artifacts that refer to the image (signatures, SBOMs); this is the default.
    #[arg(long, hide = true)]
    pub referrers: bool,
    /// Do not copy the artifacts that refer to the image (signatures, SBOMs).
    #[arg(long, conflicts_with = "referrers")]
    pub no_referrers: bool,
    /// Show what would be copied and which tags would move, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let request = PromoteRequest {
        source: args.source,
        destination: args.destination,
        tags: args.tags,
        referrers: !args.no_referrers,
        dry_run: args.dry_run,
    };
    let scope = scope(
        context,
        &[request.source.clone(), request.destination.clone()],
    )
    .await?;
    let signing = match &scope.workspace {
        Some(workspace) if !request.dry_run => {
            let table = &workspace.spec.signing;
            signatures::of_workspace(&scope.settings, &workspace.root, table).await?
        }
        _ => None,
    };
    let promotion = promote(&request, signing.as_ref(), &scope).await?;
    match context.format {
        OutputFormat::Json => context.out.json(&promotion),
        _ => report::promotion(&context.out, &promotion),
    }
    Ok(Exit::Done)
}
