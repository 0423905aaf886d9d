//! Commands in a pseudo-terminal.

use std::path::Path;
use std::process::Command;

use crate::support::workspace::Golden;

/// Runs a command line, in which `golden` is the binary of this build, in a pseudo-terminal of this
/// size. The output of the returned command is that of the terminal.
pub(crate) fn script(golden: &Golden, line: &str, columns: u16, rows: u16) -> Command {
    let run = golden.command(&[]);
    let programs = Path::new(run.get_program()).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let mut script = Command::new("script");
    script
        .args(["--quiet", "--return", "--command"])
        .arg(format!("stty cols {columns} rows {rows}; exec {line}"))
        .arg("/dev/null")
        .current_dir(golden.path())
        .env_clear()
        .envs(
            run.get_envs()
                .filter_map(|(key, value)| Some((key, value?))),
        )
        .env_remove("CI")
        .env("PATH", format!("{}:{path}", programs.display()))
        .env("TERM", "xterm")
        .env("SHELL", "/bin/sh");
    script
}
