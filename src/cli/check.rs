//! `golden check`: parse and validate the specs, and apply the policy to them.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;

/// Parse and validate the specs, and apply the policy to them.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Images to check, by name or glob; all without.
    pub images: Vec<String>,
    /// Explain a rule and stop.
    #[arg(long, value_name = "RULE")]
    pub explain: Option<String>,
    /// Set a variable of the workspace.
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
}

/// Runs the command.
#[expect(clippy::unused_async, reason = "not yet")]
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    if let Some(rule) = &args.explain {
        return super::explain::explain(rule, context);
    }
    Err(Failure::usage("`golden check` is not there yet"))
}
