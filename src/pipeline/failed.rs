//! Errors of the pipeline, one for each failed image.

use std::sync::Arc;

use crate::diagnostic::Diagnostics;

/// The reason why an image failed.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] crate::engine::Error),
    /// The Docker Engine cannot be used. All images of the run share this error.
    #[error(transparent)]
    Docker(#[from] Arc<crate::engine::Error>),
    /// The built image violates the policy.
    #[error("the built image violates the policy")]
    Policy {
        /// Display name of the image.
        image: String,
        /// The violations.
        found: Diagnostics,
    },
    /// `golden push` found no local build of the current inputs.
    #[error("no up-to-date local build of {image}")]
    NotBuilt {
        /// Display name of the image.
        image: String,
    },
    /// The base cannot be read.
    #[error(transparent)]
    Base(#[from] crate::observe::Error),
    /// Publishing failed or was refused.
    #[error(transparent)]
    Publish(#[from] crate::publish::Error),
    /// A tag is invalid.
    #[error(transparent)]
    Tags(#[from] crate::tags::TagError),
    /// A file in `.golden` cannot be read or written.
    #[error(transparent)]
    State(#[from] crate::workspace::state::Error),
}

impl Failed {
    /// The failure without the name of the image, for output that already shows the name.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Publish(crate::publish::Error::Refused { because, .. }) => {
                format!("refused: {}", because.join("; "))
            }
            Self::NotBuilt { .. } => "no up-to-date local build".to_owned(),
            _ => self.to_string(),
        }
    }

    /// Hints for the user, one line each.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Engine(error) => error.hints(),
            Self::Docker(error) => error.hints(),
            Self::Base(error) => error.hints(),
            Self::Publish(error) => error.hints(),
            Self::NotBuilt { image } => {
                let name = image.split(':').next().unwrap_or(image);
                vec![format!("run `golden build {name}`")]
            }
            Self::Policy { .. } | Self::Tags(_) | Self::State(_) => Vec::new(),
        }
    }

    /// True if the spec is invalid on its base. The exit code is then 2.
    #[must_use]
    pub const fn is_of_the_spec(&self) -> bool {
        matches!(self, Self::Engine(error) if error.is_of_the_spec())
    }

    /// True if publishing was refused and did not fail. The exit code is then 4.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Publish(crate::publish::Error::Refused { .. }))
    }
}
