//! The confirmation before a command deletes something.

use std::io::BufRead;

use super::{Context, Failure};

/// Asks the user to confirm the action `what`, unless `--yes` is given. Fails with exit code 2 if
/// the user does not confirm, or if golden cannot ask.
pub(crate) async fn confirm(context: &Context, yes: bool, what: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !context.terminal {
        return Err(Failure::usage(format!(
            "stdin or stderr is not a terminal, so golden cannot ask whether to {what}"
        ))
        .hint("add --yes to confirm"));
    }
    context.out.prompt(&format!("{what}. Continue? [y/N] "));
    let read = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    let answer = read.await.ok().and_then(Result::ok).unwrap_or_default();
    if ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
        Ok(())
    } else {
        Err(Failure::usage("not confirmed; nothing was done"))
    }
}
