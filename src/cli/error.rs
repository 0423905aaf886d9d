//! The single funnel from errors to exit codes and to what people read.

use super::exit::Exit;

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub struct Failure {
    /// How the process ends.
    pub exit: Exit,
    /// What happened; `None` when it has been shown already (diagnostics).
    pub error: Option<anyhow::Error>,
    /// What to do next, one line each.
    pub hints: Vec<String>,
}

impl Failure {
    /// A failure that ends with `exit`.
    pub fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self { exit, error: Some(error.into()), hints: Vec::new() }
    }

    /// A failure of usage (exit 2) from a sentence.
    pub fn usage(message: impl std::fmt::Display) -> Self {
        Self::new(Exit::Usage, anyhow::anyhow!("{message}"))
    }

    /// A failure whose explanation has been shown already.
    #[must_use]
    pub const fn shown(exit: Exit) -> Self {
        Self { exit, error: None, hints: Vec::new() }
    }

    /// The end of a command that a signal stopped (exit 130).
    #[must_use]
    pub fn interrupted() -> Self {
        Self::new(Exit::Interrupted, anyhow::anyhow!("interrupted"))
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl From<crate::registry::Error> for Failure {
    fn from(error: crate::registry::Error) -> Self {
        let hints = error.hints();
        Self { hints, ..Self::new(Exit::Failed, error) }
    }
}

impl From<crate::engine::Error> for Failure {
    fn from(error: crate::engine::Error) -> Self {
        Self::new(Exit::Failed, error)
    }
}
