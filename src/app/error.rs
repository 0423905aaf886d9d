//! The error of a command.

use super::unready::UnreadyImage;
use crate::assemble::NeedsExecution;
use crate::diagnostic::SourceMap;

/// The reason why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting or a file of the user is not accepted.
    #[error("{message}")]
    Invalid {
        /// The problem.
        message: String,
        /// The next steps for the user, one line each.
        hints: Vec<String>,
    },
    /// The settings are valid, but the command cannot do its work.
    #[error("{message}")]
    Failed {
        /// The problem.
        message: String,
        /// The next steps for the user, one line each.
        hints: Vec<String>,
    },
    /// A rule of the policy is violated.
    #[error("{message}")]
    Policy {
        /// The rule and the violations.
        message: String,
        /// The next steps for the user, one line each.
        hints: Vec<String>,
    },
    /// A signature that a check requires is missing or wrong.
    #[error("{message}")]
    Unverified {
        /// The image and the reason.
        message: String,
        /// The next steps for the user, one line each.
        hints: Vec<String>,
    },
    /// The embedded engine cannot assemble an image.
    #[error("{image}")]
    CannotAssemble {
        /// Display name of the image.
        image: String,
        /// The part of the spec that must be executed.
        #[source]
        needs: NeedsExecution,
    },
    /// No image can be built, because all bases are unavailable.
    #[error(transparent)]
    NothingReady(Box<NothingReady>),
    /// No workspace was found.
    #[error(transparent)]
    Discover(#[from] crate::workspace::discover::Error),
    /// golden.lock cannot be used.
    #[error(transparent)]
    Lock(#[from] crate::workspace::lock::Error),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] crate::workspace::state::Error),
    /// The selection matches no image.
    #[error(transparent)]
    Select(#[from] crate::resolve::select::Error),
    /// A reference is invalid.
    #[error(transparent)]
    Reference(#[from] crate::reference::Error),
    /// A version has no valid tags.
    #[error(transparent)]
    Tags(#[from] crate::tags::TagError),
    /// A base or a registry cannot be observed.
    #[error(transparent)]
    Observe(#[from] crate::observe::Error),
    /// The family of an image is unknown, or does not support a part of the spec.
    #[error(transparent)]
    Families(#[from] super::pipeline::families::Error),
    /// The images cannot be planned.
    #[error(transparent)]
    Plan(#[from] crate::plan::Error),
    /// An image cannot be rendered.
    #[error(transparent)]
    Render(#[from] crate::render::Error),
    /// An image cannot be rendered for its base.
    #[error(transparent)]
    Image(#[from] super::pipeline::Failed),
    /// A secret cannot be read or is missing.
    #[error(transparent)]
    Secret(#[from] super::pipeline::secrets::Error),
    /// The ssh agent of `--ssh` is not available.
    #[error(transparent)]
    Ssh(#[from] super::pipeline::ssh::Error),
    /// An image cannot be written to a file or directory.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// Publishing or moving tags failed or was refused.
    #[error(transparent)]
    Publish(#[from] crate::publish::Error),
    /// A deletion failed or was refused.
    #[error(transparent)]
    Delete(#[from] crate::publish::delete::Error),
    /// A promotion failed or was refused.
    #[error(transparent)]
    Promote(#[from] crate::publish::promote::Error),
    /// An image cannot be signed, or a key cannot be used.
    #[error(transparent)]
    Signing(#[from] crate::signing::Error),
    /// A registry does not have a reference.
    #[error(transparent)]
    Absent(#[from] Box<crate::observe::Absent>),
    /// The commit of an image cannot be checked out.
    #[error(transparent)]
    Checkout(#[from] crate::workspace::git::CheckoutError),
    /// A layer of an image cannot be read.
    #[error(transparent)]
    Layer(#[from] crate::image::LayerError),
    /// The config of an image is invalid.
    #[error(transparent)]
    Config(#[from] crate::oci::config::Error),
    /// A registry failed.
    #[error(transparent)]
    Registry(#[from] crate::registry::Error),
}

/// The bases of all images are unavailable.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct NothingReady {
    /// The error of the first base.
    pub error: Error,
    /// The images, each with its reason.
    pub unready: Vec<UnreadyImage>,
    /// The texts of the spec files.
    pub sources: SourceMap,
}

impl Error {
    /// Creates an error about a setting or a file of the user.
    pub fn invalid(message: impl std::fmt::Display) -> Self {
        Self::Invalid {
            message: message.to_string(),
            hints: Vec::new(),
        }
    }

    /// Creates the error of a command that needs a registry, if none is selected or configured.
    pub(super) fn no_registry() -> Self {
        Self::invalid("no registry is configured")
            .hint("add a [[registry]] to golden.toml, or use --registry")
    }

    /// Creates an error about work that golden cannot do although the settings are valid.
    pub fn failed(message: impl std::fmt::Display) -> Self {
        Self::Failed {
            message: message.to_string(),
            hints: Vec::new(),
        }
    }

    /// Adds a next step for the user to an error of this module. Other errors have their own hints.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        if let Self::Invalid { hints, .. } | Self::Failed { hints, .. } = &mut self {
            hints.push(hint.into());
        }
        self
    }
}
