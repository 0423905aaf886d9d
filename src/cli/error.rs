//! Converts every error to an exit code, a message and hints.

use super::exit::Exit;

/// The failure of a command.
#[derive(Debug)]
pub struct Failure {
    /// The exit code of the process.
    pub exit: Exit,
    /// The error; `None` if it has been shown already, as diagnostics are.
    pub error: Option<anyhow::Error>,
    /// The next steps for the user, one line each.
    pub hints: Vec<String>,
}

impl Failure {
    /// Creates a failure with an exit code.
    pub fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit,
            error: Some(error.into()),
            hints: Vec::new(),
        }
    }

    /// Creates a failure with an exit code and the next steps for the user.
    fn with_hints(exit: Exit, hints: Vec<String>, error: impl Into<anyhow::Error>) -> Self {
        Self {
            hints,
            ..Self::new(exit, error)
        }
    }

    /// Creates a usage error (exit 2) from a message.
    pub fn usage(message: impl std::fmt::Display) -> Self {
        Self::new(Exit::Usage, anyhow::anyhow!("{message}"))
    }

    /// Creates a failure whose error has been shown already.
    #[must_use]
    pub const fn shown(exit: Exit) -> Self {
        Self {
            exit,
            error: None,
            hints: Vec::new(),
        }
    }

    /// Creates the failure of a command that a signal stopped (exit 130).
    #[must_use]
    pub fn interrupted() -> Self {
        Self::new(Exit::Interrupted, anyhow::anyhow!("interrupted"))
    }

    /// Creates the failure for a reference that its registry does not have.
    #[must_use]
    pub fn absent(absent: crate::observe::Absent) -> Self {
        Self::with_hints(Exit::Failed, absent.hints(), absent)
    }

    /// Prints the error and the hints.
    pub fn show(&self, context: &super::Context) {
        if let Some(error) = &self.error {
            let mut hints = self.hints.clone();
            if self.exit == Exit::Failed {
                let message = crate::report::chain(error.as_ref());
                hints.extend(context.later_hints.take(&message));
            }
            crate::report::failure(&context.out, error.as_ref(), &hints);
        }
    }

    /// Shows all failures except the last one, and fails with that one.
    pub fn require_none(
        failures: impl IntoIterator<Item: Into<Self>>,
        context: &super::Context,
    ) -> Result<(), Self> {
        let mut failures = failures.into_iter().map(Into::into);
        let Some(mut last) = failures.next() else {
            return Ok(());
        };
        for failure in failures {
            std::mem::replace(&mut last, failure).show(context);
        }
        Err(last)
    }

    /// Adds a next step for the user.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

/// Implements `From` for errors that have one exit code for all variants, and no hints.
macro_rules! ends_with {
    ($($exit:ident: $($error:ty),+;)+) => {$($(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::new(Exit::$exit, error)
            }
        }
    )+)+};
}

ends_with! {
    Usage: crate::reference::Error,
        crate::platform::Error,
        crate::tags::VariantError,
        crate::tags::VersionError,
        crate::tags::ExtraError,
        crate::tags::TagError,
        crate::app::pipeline::secrets::Error;
    Failed: crate::workspace::state::Error,
        crate::oci::config::Error,
        crate::oci::manifest::Error,
        crate::image::LayerError,
        crate::workspace::git::CheckoutError,
        minijinja::Error;
}

/// Implements `From` for errors that have one exit code for all variants, and hints.
macro_rules! ends_with_hints {
    ($($exit:ident: $($error:ty),+;)+) => {$($(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::with_hints(Exit::$exit, error.hints(), error)
            }
        }
    )+)+};
}

ends_with_hints! {
    Usage: crate::workspace::fs::OutputError,
        crate::workspace::discover::Error,
        crate::resolve::select::Error,
        crate::render::Error,
        crate::app::pipeline::ssh::Error,
        crate::app::pipeline::families::Error;
    Failed: crate::registry::Error,
        crate::observe::Error;
}

impl From<crate::workspace::lock::Error> for Failure {
    fn from(error: crate::workspace::lock::Error) -> Self {
        use crate::workspace::lock::Error as Lock;
        let exit = match &error {
            Lock::File(_) => Exit::Failed,
            Lock::Parse(_) | Lock::Entry { .. } | Lock::TwoDigests { .. } | Lock::Version(_) => {
                Exit::Usage
            }
        };
        Self::with_hints(exit, error.hints(), error)
    }
}

impl From<crate::engine::Error> for Failure {
    fn from(error: crate::engine::Error) -> Self {
        use crate::engine::Error as Engine;
        let exit = match &error {
            Engine::Unsupported { .. }
            | Engine::NeedsBuildKit { .. }
            | Engine::NotPassed { .. } => Exit::Usage,
            Engine::Embedded(embedded) if embedded.needs_docker() => Exit::Usage,
            error if error.is_of_the_spec() => Exit::Usage,
            _ => Exit::Failed,
        };
        Self::with_hints(exit, error.hints(), error)
    }
}

impl From<crate::serve::Error> for Failure {
    fn from(error: crate::serve::Error) -> Self {
        let exit = if error.is_usage() {
            Exit::Usage
        } else {
            Exit::Failed
        };
        Self::with_hints(exit, error.hints(), error)
    }
}

impl From<crate::app::Error> for Failure {
    fn from(error: crate::app::Error) -> Self {
        use crate::app::Error;
        match error {
            Error::Invalid { message, hints } => {
                Self::with_hints(Exit::Usage, hints, anyhow::anyhow!(message))
            }
            Error::Failed { message, hints } => {
                Self::with_hints(Exit::Failed, hints, anyhow::anyhow!(message))
            }
            Error::Policy { message, hints } => {
                Self::with_hints(Exit::Policy, hints, anyhow::anyhow!(message))
            }
            Error::Unverified { message, hints } => {
                Self::with_hints(Exit::Difference, hints, anyhow::anyhow!(message))
            }
            Error::CannotAssemble { ref needs, .. } => {
                Self::with_hints(Exit::Usage, needs.hints(), error)
            }
            Error::NothingReady(nothing) => nothing.error.into(),
            Error::Discover(error) => error.into(),
            Error::Lock(error) => error.into(),
            Error::File(error) => error.into(),
            Error::Select(error) => error.into(),
            Error::Reference(error) => error.into(),
            Error::Tags(error) => error.into(),
            Error::Observe(error) => error.into(),
            Error::Families(error) => error.into(),
            Error::Plan(error) => error.into(),
            Error::Render(error) => error.into(),
            Error::Image(failed) => failed.into(),
            Error::Secret(error) => error.into(),
            Error::Ssh(error) => error.into(),
            Error::Store(error) => error.into(),
            Error::Publish(error) => error.into(),
            Error::Delete(error) => error.into(),
            Error::Promote(error) => error.into(),
            Error::Signing(error) => error.into(),
            Error::Absent(absent) => Self::absent(*absent),
            Error::Layer(error) => error.into(),
            Error::Checkout(error) => error.into(),
            Error::Config(error) => error.into(),
            Error::Registry(error) => error.into(),
        }
    }
}

impl From<crate::app::pipeline::Failed> for Failure {
    fn from(failed: crate::app::pipeline::Failed) -> Self {
        use crate::app::pipeline::Failed;
        match failed {
            Failed::Engine(error) => error.into(),
            failed => Self::with_hints(Exit::Failed, failed.hints(), failed),
        }
    }
}

impl From<crate::store::Error> for Failure {
    fn from(error: crate::store::Error) -> Self {
        use crate::store::Error as Store;
        let exit = match &error {
            Store::Destination(_) | Store::SeveralPlatforms { .. } | Store::Output(_) => {
                Exit::Usage
            }
            Store::File { .. }
            | Store::Layout { .. }
            | Store::NoImage { .. }
            | Store::Blob { .. }
            | Store::Layer { .. }
            | Store::Stream(_)
            | Store::Manifest(_)
            | Store::Workspace(_)
            | Store::Registry(_) => Exit::Failed,
        };
        Self::with_hints(exit, error.hints(), error)
    }
}

impl From<crate::assemble::Error> for Failure {
    fn from(error: crate::assemble::Error) -> Self {
        use crate::assemble::Error as Assemble;
        let exit = match &error {
            Assemble::NeedsExecution(_) => Exit::Usage,
            _ => Exit::Failed,
        };
        Self::with_hints(exit, error.hints(), error)
    }
}

impl From<crate::plan::Error> for Failure {
    fn from(error: crate::plan::Error) -> Self {
        use crate::plan::Error;
        let exit = match &error {
            Error::Pin(_) => Exit::Failed,
            Error::Render(_)
            | Error::Tags { .. }
            | Error::Extra { .. }
            | Error::Repository { .. } => Exit::Usage,
        };
        Self::new(exit, error)
    }
}

/// The exit code of an error of publishing.
const fn refused_or_failed(is_refusal: bool) -> Exit {
    if is_refusal {
        Exit::Refused
    } else {
        Exit::Failed
    }
}

impl From<crate::signing::Error> for Failure {
    fn from(error: crate::signing::Error) -> Self {
        let exit = if error.is_setting() {
            Exit::Usage
        } else {
            Exit::Failed
        };
        Self::with_hints(exit, error.hints(), error)
    }
}

impl From<crate::publish::Error> for Failure {
    fn from(error: crate::publish::Error) -> Self {
        Self::with_hints(refused_or_failed(error.is_refusal()), error.hints(), error)
    }
}

impl From<crate::publish::delete::Error> for Failure {
    fn from(error: crate::publish::delete::Error) -> Self {
        Self::with_hints(refused_or_failed(error.is_refusal()), error.hints(), error)
    }
}

impl From<crate::publish::promote::Error> for Failure {
    fn from(error: crate::publish::promote::Error) -> Self {
        Self::with_hints(refused_or_failed(error.is_refusal()), error.hints(), error)
    }
}
