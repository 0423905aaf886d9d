//! `golden completions`: print completions for a shell.
//!
//! The script of a shell runs golden with `GOLDEN_COMPLETE` and the words of the command line.

use clap_complete::env::Shells;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::surroundings::COMPLETE;

/// The function that bash runs instead of that of clap. bash removes an open quote from `$2` and
/// inserts a candidate as it is, so the function adds the quote again, and quotes the candidates.
/// `COMP_WORDS` has the whole word, also the part behind the cursor. bash 3.2 of macOS runs it too.
const BASH: &str = r#"
_golden_complete() {
    local i quote= text
    if [[ ${COMP_WORDS[COMP_CWORD]} == [\"\']"$2"* ]]; then
        quote=${COMP_WORDS[COMP_CWORD]:0:1}
    fi
    _clap_complete_golden "$1" "$quote$2" "$3"
    for i in "${!COMPREPLY[@]}"; do
        text=${COMPREPLY[i]}
        if [[ $quote == \' ]]; then
            text=${text//\'/\'\\\'\'}
        elif [[ $quote == \" ]]; then
            text=${text//\\/\\\\} text=${text//\"/\\\"} text=${text//\$/\\\$} text=${text//\`/\\\`}
        elif [[ $text == *[!A-Za-z0-9_./:@,=+%~-]* ]]; then
            text=$(printf %q "$text")
        fi
        COMPREPLY[i]=$text
    done
}
"#;

/// Print completions for a shell.
///
/// The completions include the images and registries of the workspace.
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
    let shells = Shells::builtins();
    let shell = shells
        .completer(&args.shell.to_string())
        .ok_or_else(|| Failure::usage(format!("`{}` has no completions", args.shell)))?;
    shell
        .write_registration(COMPLETE, "golden", "golden", "golden", &mut script)
        .map_err(|error| Failure::new(Exit::Failed, error))?;
    let mut script = String::from_utf8_lossy(&script).into_owned();
    if args.shell == clap_complete::Shell::Bash {
        script =
            BASH.to_owned() + &script.replace("-F _clap_complete_golden", "-F _golden_complete");
    }
    context.out.data(&script);
    Ok(Exit::Done)
}
