//! The result of a test.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::platform::Platform;
use crate::resolve::image::{ResolvedTest, SpecLocation};

/// An assertion that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// The key of the assertion, such as `mode`.
    pub assertion: String,
    /// The expected value.
    pub expected: String,
    /// The value in the image.
    pub found: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            assertion,
            expected,
            found,
        } = self;
        write!(f, "{assertion}: expected {expected}, found {found}")
    }
}

impl Mismatch {
    pub(super) fn new(
        assertion: &str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self {
            assertion: assertion.to_owned(),
            expected: expected.into(),
            found: found.into(),
        }
    }
}

/// The output of a command, for the report of a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CommandOutput {
    /// The command, with quotes as in a shell.
    pub command: String,
    /// The start of the standard output.
    pub stdout: String,
    /// The start of the standard error.
    pub stderr: String,
}

/// The result of one test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TestVerdict {
    /// The name of the test, or its subject if it has no name.
    pub name: String,
    /// The subject, such as `file /etc/motd`.
    pub subject: String,
    /// True if every assertion holds.
    pub passed: bool,
    /// The reason why the test was not run on this platform. Such a test has neither passed nor
    /// failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_run: Option<String>,
    /// The assertions that do not hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Mismatch>,
    /// The command of a failed test, and the start of its output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<CommandOutput>,
    /// The time that the test took.
    #[serde(skip)]
    pub duration: Duration,
    /// The location of the test.
    #[serde(skip)]
    pub location: SpecLocation,
}

impl TestVerdict {
    pub(super) fn new(test: &ResolvedTest, failures: Vec<Mismatch>) -> Self {
        Self {
            name: test.to_string(),
            subject: test.subject.to_string(),
            passed: failures.is_empty(),
            not_run: None,
            failures,
            output: None,
            duration: Duration::ZERO,
            location: test.location.clone(),
        }
    }

    /// True if the test was run and an assertion does not hold.
    #[must_use]
    pub const fn has_failed(&self) -> bool {
        !self.passed && self.not_run.is_none()
    }
}

/// The results of the tests of an image for one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TestedPlatform {
    /// The platform.
    pub platform: Platform,
    /// The results, in the order of the spec.
    pub tests: Vec<TestVerdict>,
}

impl TestedPlatform {
    /// The number of failed tests.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.tests.iter().filter(|test| test.has_failed()).count()
    }
}
