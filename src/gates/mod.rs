//! Runs the command of a `[[gate]]`, and reads the SARIF file that it writes.

mod placeholders;
mod sarif;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;
use serde_json::Value;

use crate::config_files::gate_table::GateTable;
use crate::process::{self, Environment, GroupEnd, Program};
use crate::workspace::fs;

pub use placeholders::{Placeholders, names_in};

/// The most output of a gate that is kept, in bytes.
const OUTPUT: u64 = 1 << 20;
/// The longest SARIF file that is read, in bytes.
const SARIF: u64 = 64 << 20;

/// The result of a gate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GateReport {
    /// The name of the gate.
    pub name: String,
    /// True if the tags may move.
    pub passed: bool,
    /// The reason of the result.
    pub because: String,
    /// The exit code, if the program ended by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
    /// The results in the SARIF file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<GateResult>,
    /// The output of the command: stdout and stderr in their order.
    pub output: String,
    /// The SARIF log, in which results with an exception are suppressed.
    #[serde(skip)]
    pub sarif: Option<Value>,
}

/// One result in a SARIF file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GateResult {
    /// The rule ID.
    pub id: String,
    /// The message of the scanner.
    pub message: String,
    /// The reason of the exception, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excepted: Option<String>,
}

/// The surroundings of gates.
#[derive(Debug, Clone)]
pub struct GateSurroundings {
    /// The directory of golden.toml, in which the commands run.
    pub root: PathBuf,
    /// The environment of golden. A command receives a part of it, without logins.
    pub environment: Environment,
    /// The current day, in UTC.
    pub today: time::Date,
}

/// Runs a gate. It passes if the command exits with status 0. It also passes with another status if
/// the command wrote a SARIF file with results, each result has an exception, and the log does not
/// report that a tool failed to run.
pub async fn run(
    gate: &GateTable,
    values: &Placeholders,
    surroundings: &GateSurroundings,
) -> GateReport {
    let mut report = GateReport {
        name: gate.shown_name().to_owned(),
        passed: false,
        because: String::new(),
        exit: None,
        results: Vec::new(),
        output: String::new(),
        sarif: None,
    };
    let words: Vec<String> = gate.command.iter().map(|word| values.fill(word)).collect();
    let Some((program, arguments)) = words.split_first() else {
        "has no command".clone_into(&mut report.because);
        return report;
    };
    let file = gate.sarif.as_ref().map(|file| surroundings.root.join(file));
    let before = file.as_deref().and_then(state);
    let path = process::program_in(&surroundings.root, program);
    let mut command = surroundings.environment.command(Program::Gate, &path);
    command.args(arguments).current_dir(&surroundings.root);
    let ended = process::run_group(command, gate.limit(), OUTPUT).await;
    let (end, output) = match ended {
        Ok(ended) => ended,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            report.because = process::missing(program);
            return report;
        }
        Err(error) => {
            report.because = format!("the program `{program}` cannot be started: {error}");
            return report;
        }
    };
    report.output = String::from_utf8_lossy(&output).into_owned();
    let status = match end {
        GroupEnd::Exited(status) => status,
        GroupEnd::TimedOut => {
            let seconds = gate.limit().as_secs_f64();
            report.because = format!("it did not end within {seconds} s and was stopped");
            return report;
        }
    };
    report.exit = status.code();
    let is_new = |file: &&Path| state(file).is_some_and(|now| before != Some(now));
    if let Some(file) = file.as_deref().filter(is_new) {
        match read(file, &surroundings.root) {
            Ok(log) => {
                let log = sarif::with_exceptions(log, &gate.except, surroundings.today);
                report.results = sarif::results(&log);
                report.sarif = Some(log);
            }
            Err(problem) => {
                report.because =
                    format!("{}: {problem}", gate.sarif.as_deref().unwrap_or_default());
            }
        }
    }
    decide(&mut report, status);
    report
}

/// Decides by the exit status and the results.
fn decide(report: &mut GateReport, status: std::process::ExitStatus) {
    let counting: Vec<&str> = report
        .results
        .iter()
        .filter(|result| result.excepted.is_none())
        .map(|result| result.id.as_str())
        .collect();
    let exit = match status.code() {
        Some(code) => format!("exit code {code}"),
        None => status.to_string(),
    };
    let is_complete = report.sarif.as_ref().is_none_or(sarif::is_complete);
    let are_excepted = status.code().is_some() && !report.results.is_empty() && counting.is_empty();
    let (passed, because) = if status.success() {
        (true, exit)
    } else if are_excepted && is_complete {
        (true, format!("{exit}, but every result has an exception"))
    } else if are_excepted {
        let reason = "the results are incomplete: executionSuccessful is false in the SARIF log";
        (false, format!("{exit}; {reason}"))
    } else if counting.is_empty() {
        (false, exit)
    } else {
        (false, format!("{exit}: {}", shortened(&counting)))
    };
    report.passed = passed;
    report.because = match report.because.as_str() {
        "" => because,
        problem => format!("{because}; {problem}"),
    };
}

/// Lists different IDs, at most ten of them.
fn shortened(ids: &[&str]) -> String {
    let unique: std::collections::BTreeSet<&str> = ids.iter().copied().collect();
    let shown: Vec<&str> = unique.iter().copied().take(10).collect();
    match unique.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The time and the size of a file, which show if it was written.
fn state(file: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// Reads a SARIF file. The error is a clause.
fn read(file: &Path, root: &Path) -> Result<Value, String> {
    let bytes = fs::read_in(root, file, SARIF).map_err(|error| error.source.to_string())?;
    let log: Value =
        serde_json::from_slice(&bytes).map_err(|error| format!("not JSON: {error}"))?;
    if log.get("runs").is_some_and(Value::is_array) {
        Ok(log)
    } else {
        Err("not a SARIF log: it has no list `runs`".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    use serde_json::json;

    use super::*;

    #[test]
    fn exceptions_count_only_for_complete_results() {
        let excepted = GateResult {
            id: "CVE-1".to_owned(),
            message: String::new(),
            excepted: Some("not used".to_owned()),
        };
        let invocations = |successful: &[bool]| {
            let invocations = successful
                .iter()
                .map(|successful| json!({ "executionSuccessful": successful }));
            let invocations: Vec<Value> = invocations.collect();
            json!({ "runs": [{ "results": [] }, { "invocations": invocations }] })
        };
        let exited = |code: i32| ExitStatus::from_raw(code << 8);
        let all = "exit code 1, but every result has an exception";
        let incomplete = "exit code 1; the results are incomplete: executionSuccessful is false \
            in the SARIF log";
        for (log, status, passed, because) in [
            (json!({ "runs": [] }), exited(1), true, all),
            (invocations(&[true]), exited(1), true, all),
            (invocations(&[false]), exited(1), false, incomplete),
            (invocations(&[true, false]), exited(1), false, incomplete),
            (invocations(&[false]), exited(0), true, "exit code 0"),
        ] {
            let mut report = GateReport {
                name: "scan".to_owned(),
                passed: false,
                because: String::new(),
                exit: status.code(),
                results: vec![excepted.clone()],
                output: String::new(),
                sarif: Some(log.clone()),
            };
            decide(&mut report, status);
            assert_eq!(
                (report.passed, report.because.as_str()),
                (passed, because),
                "{log}"
            );
        }
    }
}
