//! Exit codes (3-cli), in one place.

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// Something failed: engine, network, registry.
    Failed,
    /// Usage, or a spec that does not parse.
    Usage,
    /// Policy violated.
    Policy,
    /// Refused: an immutable tag, a digest shared by other tags.
    Refused,
    /// A check found a difference: `render --check`, `verify`, `outdated`.
    Difference,
    /// Interrupted; what was begun is cleaned up or resumable.
    Interrupted,
}

impl Exit {
    /// The number that the process ends with.
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
