//! Commands that an engine runs in containers, and their results.

use std::time::Duration;

use super::verdict::Mismatch;
use crate::resolve::image_test::ContainerCommand;

/// The bytes that a command wrote to a stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Captured {
    /// The bytes, up to the limit.
    pub bytes: Vec<u8>,
    /// True if the command wrote more than the limit.
    pub is_cut: bool,
}

/// The way in which a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerExit {
    /// It ended by itself, with this status.
    Status(i64),
    /// It was killed after this time.
    TimedOut(Duration),
    /// It was killed because it wrote more than this number of bytes.
    Flooded(u64),
    /// The engine could not start it.
    NotStarted(String),
}

/// The result of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerEnd {
    /// The end.
    pub exit: ContainerExit,
    /// The standard output.
    pub stdout: Captured,
    /// The standard error.
    pub stderr: Captured,
}

/// The containers of a test, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandPlan {
    /// The commands before the tested one. Each starts with the files of the one before.
    pub setup: Vec<ContainerCommand>,
    /// The tested command.
    pub command: ContainerCommand,
}

/// The attempt to run the command of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// The command was run.
    Ran(ContainerEnd),
    /// The command was not run on purpose, for this reason: such as because the engine runs another
    /// platform. The test is neither passed nor failed.
    Skipped(String),
    /// The command could not be run, for this reason. The test fails.
    Failed(String),
}

/// The assertion that fails if a command was not run.
pub(super) fn not_run(because: &str) -> Mismatch {
    let found = format!("none: {because}");
    Mismatch::new("run", "a result of the command", found)
}

/// The assertion that fails if the files of an image are tested without running its commands.
pub(super) fn without_engine() -> Mismatch {
    not_run("it was not run in an engine")
}

/// Compares the end of a command, and then its output with `outputs`. A command that was not started
/// has no output.
pub(super) fn wrong_end(
    exit: &ContainerExit,
    expected: i64,
    key: &str,
    outputs: impl FnOnce(&mut Vec<Mismatch>),
) -> Vec<Mismatch> {
    let mut wrong = match exit {
        ContainerExit::Status(status) if *status == expected => Vec::new(),
        ContainerExit::Status(status) => {
            vec![Mismatch::new(key, expected.to_string(), status.to_string())]
        }
        ContainerExit::TimedOut(limit) => {
            let expected = format!("at most {limit:?}");
            let found = "a longer run; the command was killed";
            vec![Mismatch::new("timeout", expected, found)]
        }
        ContainerExit::Flooded(limit) => {
            let expected = format!("at most {} MiB of output", limit >> 20);
            let found = "more; the command was killed";
            vec![Mismatch::new("output", expected, found)]
        }
        ContainerExit::NotStarted(message) => {
            let found = format!("an error of the engine: {message}");
            return vec![Mismatch::new("run", "a command that starts", found)];
        }
    };
    outputs(&mut wrong);
    wrong
}
