//! The exit codes of golden.

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
    /// A check found a difference: `render --check`, `verify`, `outdated`.
    Difference,
    /// A signal interrupted the command. Partial work is cleaned up or can be resumed.
    Interrupted,
}

impl Exit {
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
