//! `golden attest`: attach a signed statement to a published image.

use std::path::PathBuf;

use serde::Serialize;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::session::scope;
use super::sign::signing;
use crate::app::attest::{Attested, attest, predicate};
use crate::config_files::KeySource;
use crate::report::{self, OutputFormat};
use crate::signing::Claim;

/// Attach a signed statement to a published image, such as the result of a scan.
///
/// The statement is an in-toto attestation about the digest that the reference points to, in a
/// Sigstore bundle that `cosign verify-attestation` reads. The same statement is not attached twice.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Image, by reference or by the name of a workspace image.
    #[arg(value_name = "REF")]
    pub reference: String,
    /// Type of the statement, such as `https://cosign.sigstore.dev/attestation/vuln/v1`.
    #[arg(long = "type", value_name = "URI", value_parser = uri)]
    pub predicate_type: String,
    /// JSON file with the predicate of the statement.
    #[arg(long, value_name = "FILE")]
    pub predicate: PathBuf,
    /// Private key: a file, `env:NAME` or `plugin:NAME://KEY` [default: the key of golden.toml].
    #[arg(long, value_name = "KEY")]
    pub key: Option<KeySource>,
}

#[derive(Serialize)]
struct AttestDocument<'a> {
    attested: &'a [Attested],
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let arguments = [args.reference];
    let scope = scope(context, &arguments).await?;
    let predicate = predicate(&scope.settings, &args.predicate)?;
    let signing = signing(args.key.as_ref(), context, scope.workspace.as_ref()).await?;
    let claim = Claim {
        predicate_type: &args.predicate_type,
        predicate: &predicate,
    };
    let attested = attest(&arguments, &scope, &signing.signer, claim).await?;
    show(&attested, context);
    Ok(Exit::Done)
}

/// Checks that a text is a URI, which is used as written.
fn uri(text: &str) -> Result<String, String> {
    match url::Url::parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("it is not a URI: {error}")),
    }
}

/// Prints the statements.
pub(super) fn show(attested: &[Attested], context: &Context) {
    match context.format {
        OutputFormat::Json => context.out.json(&AttestDocument { attested }),
        _ => context.out.data(&report::attested(attested)),
    }
}
