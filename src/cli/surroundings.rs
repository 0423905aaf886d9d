//! Reads the environment variables, the clock, the current directory and the terminal. No other
//! module reads them.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;

use super::context::LaterHints;
use super::{ColorChoice, Context, GlobalArgs};
use crate::event::Events;
use crate::report::out::OutputStyle;
use crate::report::{Out, OutputFormat};

/// The variable with the name of the shell for which golden completes a command line.
pub(super) const COMPLETE: &str = "GOLDEN_COMPLETE";

/// Reads the environment of the process. `None` if the current directory cannot be read; the error
/// has been shown then.
#[expect(
    clippy::disallowed_methods,
    reason = "only this function reads the environment"
)]
pub(super) fn read(globals: GlobalArgs, program: String) -> Option<Context> {
    let env: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    let out = Out::process(style(&globals, &env));
    let cwd = std::env::current_dir();
    let report = |error| {
        out.error(&format!(
            "error: cannot read the current directory: {error}"
        ));
    };
    let cwd = cwd.map_err(report).ok()?;
    Some(Context {
        out,
        events: Events::silent(),
        program,
        cwd,
        now: i64::try_from(now.as_secs()).unwrap_or(i64::MAX),
        format: OutputFormat::Text,
        terminal: std::io::stdin().is_terminal() && std::io::stderr().is_terminal(),
        env,
        globals,
        later_hints: LaterHints::default(),
    })
}

/// The shell for which golden completes a command line, if the script of a shell runs golden.
#[expect(
    clippy::disallowed_methods,
    reason = "the script sets the variable before the command line is parsed"
)]
pub(super) fn completing_shell() -> Option<String> {
    std::env::var(COMPLETE).ok()
}

/// The current directory and the output, if no error must be shown.
#[expect(
    clippy::disallowed_methods,
    reason = "completions need no other setting of the process"
)]
pub(super) fn silent() -> Option<(PathBuf, Out)> {
    let out = Out::process(style(&GlobalArgs::default(), &BTreeMap::new()));
    Some((std::env::current_dir().ok()?, out))
}

/// The style of the output: it depends on `NO_COLOR`, `CI`, `TERM`, the options and the terminal.
fn style(globals: &GlobalArgs, env: &BTreeMap<String, String>) -> OutputStyle {
    let is_set = |name: &str| env.get(name).is_some_and(|value| !value.is_empty());
    let dumb = env.get("TERM").is_some_and(|term| term == "dumb");
    let terminal = std::io::stderr().is_terminal();
    let color_on = |terminal: bool| match globals.color {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => terminal && !dumb && !is_set("NO_COLOR"),
    };
    let in_ci = env
        .get("CI")
        .is_some_and(|value| !value.is_empty() && value != "false");
    let silent = globals.no_progress || globals.quiet || in_ci || is_set("NO_COLOR") || dumb;
    let columns = env
        .get("COLUMNS")
        .and_then(|text| text.parse().ok())
        .filter(|columns| *columns > 0);
    let width = console::Term::stderr()
        .size_checked()
        .map(|(_, columns)| usize::from(columns));
    OutputStyle {
        color: color_on(terminal),
        data_color: color_on(is_stdout_a_terminal()),
        interactive: terminal && !silent,
        quiet: globals.quiet,
        width: columns.or(width).unwrap_or(120).max(40),
    }
}

/// True if the data that a command writes is shown on a terminal.
pub(super) fn is_stdout_a_terminal() -> bool {
    std::io::stdout().is_terminal()
}
