//! The exit codes of golden.

use crate::app::pipeline::{Failed, RunResult};

/// The result of a run, as its exit code reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The command succeeded.
    Done,
    /// The engine, the network or the registry failed.
    Failed,
    /// The command line or a spec is invalid.
    Usage,
    /// An image violates the policy.
    Policy,
    /// The command refused a change: the tag is immutable, or other tags share the digest.
    Refused,
    /// A check found a difference: `render --check`, `fmt --check`, `verify`, `outdated`, `reproduce`.
    Difference,
    /// A signal interrupted the command. Partial work is cleaned up or can be resumed.
    Interrupted,
}

impl Exit {
    /// The exit code of several images: 1 if one failed, else 4 if one was refused, else 3 if one
    /// violates the policy, else 2 if a spec does not fit its base, else 0.
    #[must_use]
    pub fn of(ended: &RunResult) -> Self {
        let failures = || ended.failures.iter().map(|(_, failed)| failed);
        let violates_policy = |failed: &Failed| matches!(failed, Failed::Policy { .. });
        let other = |failed: &Failed| {
            !failed.is_refusal() && !violates_policy(failed) && !failed.is_of_the_spec()
        };
        if failures().any(other) {
            Self::Failed
        } else if failures().any(Failed::is_refusal) {
            Self::Refused
        } else if failures().any(violates_policy) {
            Self::Policy
        } else if failures().any(Failed::is_of_the_spec) {
            Self::Usage
        } else {
            Self::Done
        }
    }

    /// The number that the process returns.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Policy => 3,
            Self::Refused => 4,
            Self::Difference => 5,
            Self::Interrupted => 130,
        }
    }
}
