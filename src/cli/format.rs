//! Which forms of output each command has (7-rules 29).

use super::{Command, Failure};
use crate::report::Format;
use crate::suggest::closest;

/// The forms of a command's output; the first is the one without `--format`.
const fn formats(command: &Command) -> &'static [Format] {
    use Format::{Dot, Github, Gitlab, Json, Mermaid, Sarif, Svg, Text};
    match command {
        Command::Check(_) | Command::Audit(_) => &[Text, Json, Github, Sarif],
        Command::Graph(_) => &[Mermaid, Dot, Svg, Json],
        Command::Matrix(_) => &[Github, Gitlab, Json],
        Command::Completions(_) | Command::Man(_) => &[Text],
        Command::Schema(_) => &[Json],
        Command::Init(_)
        | Command::New(_)
        | Command::Render(_)
        | Command::Plan(_)
        | Command::Build(_)
        | Command::Push(_)
        | Command::Tags(_)
        | Command::Verify(_)
        | Command::Ls(_)
        | Command::Inspect(_)
        | Command::Delete(_)
        | Command::Promote(_)
        | Command::Rollback(_)
        | Command::Outdated(_)
        | Command::Update(_)
        | Command::Serve(_)
        | Command::Prune(_) => &[Text, Json],
    }
}

/// The form that `--format` asks of a command, or the command's own.
pub(crate) fn choose(command: &Command, asked: Option<&str>) -> Result<Format, Failure> {
    let known = formats(command);
    let Some(asked) = asked else { return Ok(known[0]) };
    if let Some(format) = known.iter().find(|format| format.as_str() == asked) {
        return Ok(*format);
    }
    let names: Vec<&str> = known.iter().map(|format| format.as_str()).collect();
    let failure = Failure::usage(format!(
        "`golden {}` has no format `{asked}` (it has: {})",
        command.name(),
        names.join(", ")
    ));
    Err(match closest(asked, names) {
        Some(near) => failure.hint(format!("did you mean --format {near}?")),
        None => failure,
    })
}
