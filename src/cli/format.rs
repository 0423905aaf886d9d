//! The output formats of each command.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};

use super::{Command, Failure};
use crate::report::OutputFormat;
use crate::suggest::closest;

/// The formats that a command supports. The first one is the default on a terminal.
fn formats(command: &str) -> &'static [OutputFormat] {
    use OutputFormat::{
        CycloneDx, Dot, Github, Gitlab, Html, Json, Junit, Markdown, Mermaid, Sarif, Spdx, Svg,
        Text, Tree,
    };
    match command {
        "check" => &[Text, Json, Github, Gitlab, Sarif],
        "audit" => &[Text, Json, Github, Gitlab, Sarif, Html],
        "build" | "push" => &[Text, Json, Sarif],
        "graph" => &[Tree, Mermaid, Dot, Svg, Json],
        "matrix" => &[Github, Gitlab, Json],
        "completions" | "man" | "help" => &[Text],
        "schema" => &[Json],
        "diff" => &[Text, Json, Markdown],
        "test" => &[Text, Json, Junit],
        "sbom" => &[CycloneDx, Spdx],
        _ => &[Text, Json],
    }
}

/// The format if none is requested. `terminal` is true if stdout is a terminal.
fn default_of(command: &str, terminal: bool) -> OutputFormat {
    match command {
        // Reports and other programs read the Mermaid diagram.
        "graph" if !terminal => OutputFormat::Mermaid,
        _ => formats(command)[0],
    }
}

/// Adds `--format` to a command and the commands below it, so that help and completions list the
/// formats of this command.
pub(crate) fn document(command: clap::Command) -> clap::Command {
    let name = command.get_name().to_owned();
    let below = |command: clap::Command| command.arg(argument(&name));
    command.mut_subcommands(below).arg(argument(&name))
}

fn argument(command: &str) -> clap::Arg {
    let known = formats(command);
    let (shown, piped) = (default_of(command, true), default_of(command, false));
    let default = if shown == piped {
        shown.as_str().to_owned()
    } else {
        format!("{} on a terminal, else {}", shown.as_str(), piped.as_str())
    };
    clap::Arg::new("format")
        .long("format")
        .value_name("FORMAT")
        .help(format!("Output format [default: {default}]"))
        .help_heading("Output options")
        .value_parser(ListedFormats(known))
}

/// Lists the formats but accepts every value. [`choose`] checks it later, because `--format` may
/// also come before the command.
#[derive(Debug, Clone)]
struct ListedFormats(&'static [OutputFormat]);

impl TypedValueParser for ListedFormats {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(
            self.0
                .iter()
                .map(|format| PossibleValue::new(format.as_str())),
        ))
    }
}

/// The format that `--format` requests, or the default of the command. `terminal` is true if stdout
/// is a terminal. Fails if the command does not support the format.
pub(crate) fn choose(
    command: &Command,
    requested: Option<&str>,
    terminal: bool,
) -> Result<OutputFormat, Failure> {
    let known = formats(command.name());
    let Some(requested) = requested else {
        return Ok(default_of(command.name(), terminal));
    };
    if let Some(format) = known.iter().find(|format| format.as_str() == requested) {
        return Ok(*format);
    }
    let names: Vec<&str> = known.iter().map(|format| format.as_str()).collect();
    let failure = Failure::usage(format!(
        "`golden {}` does not support the format `{requested}` (supported: {})",
        command.name(),
        names.join(", ")
    ));
    Err(match closest(requested, names) {
        Some(similar) => failure.hint(format!("did you mean --format {similar}?")),
        None => failure,
    })
}
