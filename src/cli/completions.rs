//! `golden completions`: print completions for a shell.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;

/// Print completions for a shell.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Shell to print completions for.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Runs the command.
#[expect(clippy::unused_async, reason = "all commands have the same signature")]
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::parser(), "golden", &mut script);
    context.out.data(&String::from_utf8_lossy(&script));
    Ok(Exit::Done)
}
