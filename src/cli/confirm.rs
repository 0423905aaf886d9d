//! The question before something is destroyed (7-rules 29).

use std::io::BufRead;

use super::{Context, Failure};

/// Goes on with `--yes`, or when somebody at a terminal agrees. Without either, nothing happens: exit 2.
pub(crate) async fn confirm(context: &Context, yes: bool, what: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !context.terminal {
        return Err(Failure::usage(format!(
            "refusing to {what} without confirmation: stdin is not a terminal (use --yes)"
        )));
    }
    context.out.prompt(&format!("{what}. Go on? [y/N] "));
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
