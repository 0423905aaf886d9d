//! `golden man`: print the manual page.

use std::io::Write;

use clap_mangen::Man;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;

/// Print the manual page of golden, or of one of its commands: `golden man | man -l -`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Command to describe [default: golden itself].
    pub command: Option<String>,
}

/// The section of the manual page that clap does not generate.
const MORE: &str = "\
.SH \"EXIT STATUS\"
.TP
\\fB0\\fR
done
.TP
\\fB1\\fR
something failed: engine, network, registry
.TP
\\fB2\\fR
usage, or a spec that does not parse
.TP
\\fB3\\fR
policy violated
.TP
\\fB4\\fR
refused: an immutable tag, a digest shared by other tags
.TP
\\fB5\\fR
a check found a difference: render --check, verify, outdated
.TP
\\fB130\\fR
interrupted; partial work is cleaned up or can be resumed
";

/// Runs the command.
#[expect(clippy::unused_async, reason = "all commands have the same signature")]
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let mut golden = super::parser();
    golden.build();
    let mut page = Vec::new();
    let written = match &args.command {
        None => Man::new(golden)
            .render(&mut page)
            .and_then(|()| page.write_all(MORE.as_bytes())),
        Some(name) => {
            let names: Vec<String> = golden
                .get_subcommands()
                .map(|c| c.get_name().to_owned())
                .collect();
            let Some(command) = golden.find_subcommand(name) else {
                let failure = Failure::usage(format!("there is no command `{name}`"));
                return Err(
                    match crate::suggest::closest(name, names.iter().map(String::as_str)) {
                        Some(similar) => failure.hint(format!("did you mean `{similar}`?")),
                        None => failure,
                    },
                );
            };
            Man::new(command.clone())
                .title(format!("golden-{name}"))
                .render(&mut page)
        }
    };
    written.map_err(|error| Failure::new(Exit::Failed, error))?;
    context.out.data(&String::from_utf8_lossy(&page));
    Ok(Exit::Done)
}
