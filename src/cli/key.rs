//! `golden key`: create keys for signing.

use std::path::PathBuf;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::password::new_password;
use crate::app::key;
use crate::report::OutputFormat;

/// Create keys for signing.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The action.
    #[command(subcommand)]
    pub action: KeyAction,
}

/// The actions on keys.
#[derive(Debug, clap::Subcommand)]
pub enum KeyAction {
    /// Create a key pair: NAME.key, encrypted in cosign's format, and NAME.pub.
    ///
    /// The password comes from `GOLDEN_SIGNING_PASSWORD`, else from `COSIGN_PASSWORD`, else golden
    /// asks for it. Existing files are never overwritten.
    New {
        /// Path of the files, without `.key` and `.pub`.
        #[arg(long, value_name = "NAME")]
        out: PathBuf,
    },
}

/// Runs the command.
#[expect(clippy::unused_async, reason = "all commands have the same signature")]
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let KeyAction::New { out } = args.action;
    let password = new_password(context)?;
    let written = key::create(&context.cwd, &out, &password)?;
    if context.format == OutputFormat::Json {
        context.out.json(&written);
        return Ok(Exit::Done);
    }
    let (private, public) = (written.private.display(), written.public.display());
    context.out.data(&format!("{private}\n{public}\n"));
    context.out.message(&format!(
        "keep {private} and its password secret; publish {public}"
    ));
    Ok(Exit::Done)
}
