//! `golden sign`: sign published images.

use serde::Serialize;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::session::scope;
use crate::app::sign::{SignedImage, sign};
use crate::app::signatures;
use crate::config_files::KeySource;
use crate::config_files::workspace::SigningTable;
use crate::report::{self, OutputFormat};
use crate::signing::Signing;
use crate::workspace::Workspace;

/// Sign published images: the index and the image of each platform.
///
/// golden writes a Sigstore bundle for cosign 3 and a simple signature for Podman and skopeo. A
/// signature that exists is not written again.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Images to sign, by reference or by the name of a workspace image.
    #[arg(value_name = "REF", required = true)]
    pub references: Vec<String>,
    /// Private key: a file, `env:NAME` or `plugin:NAME://KEY` [default: the key of golden.toml].
    #[arg(long, value_name = "KEY")]
    pub key: Option<KeySource>,
}

#[derive(Serialize)]
struct SignDocument<'a> {
    signed: &'a [SignedImage],
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let scope = scope(context, &args.references).await?;
    let signing = signing(args.key.as_ref(), context, scope.workspace.as_ref()).await?;
    let signed = sign(&args.references, &signing, &scope).await?;
    match context.format {
        OutputFormat::Json => context.out.json(&SignDocument { signed: &signed }),
        _ => context.out.data(&report::signed(&signed)),
    }
    Ok(Exit::Done)
}

/// The key to sign with, if one is given or the workspace has one.
pub(super) async fn optional_signing(
    given: Option<&KeySource>,
    context: &Context,
    workspace: Option<&Workspace>,
) -> Result<Option<Signing>, Failure> {
    let is_configured = workspace.is_some_and(|one| one.spec.signing.key.is_some());
    if given.is_none() && !is_configured {
        return Ok(None);
    }
    signing(given, context, workspace).await.map(Some)
}

/// The key to sign with: `given`, or the key of the workspace. Fails if there is none.
pub(super) async fn signing(
    given: Option<&KeySource>,
    context: &Context,
    workspace: Option<&Workspace>,
) -> Result<Signing, Failure> {
    let settings = context.settings();
    let table = workspace.map_or_else(SigningTable::default, |workspace| {
        workspace.spec.signing.clone()
    });
    let signing = match (given, workspace) {
        (Some(key), _) => Some(Signing {
            signer: signatures::read(&settings, &context.cwd, key).await?,
            formats: table.formats(),
        }),
        (None, Some(workspace)) => {
            signatures::of_workspace(&settings, &workspace.root, &table).await?
        }
        (None, None) => None,
    };
    signing.ok_or_else(|| {
        Failure::usage("there is no key to sign with")
            .hint("use --key, or set key under [signing] in golden.toml")
    })
}
