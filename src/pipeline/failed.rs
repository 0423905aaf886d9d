//! Why an image did not get done.

use std::sync::Arc;

use crate::diagnostic::Diagnostics;

/// Why an image did not get done.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// The engine.
    #[error(transparent)]
    Engine(#[from] crate::engine::Error),
    /// The Docker Engine, which the whole run asked once.
    #[error(transparent)]
    Docker(#[from] Arc<crate::engine::Error>),
    /// What was built breaks the policy.
    #[error("what was built breaks the policy")]
    Policy {
        /// The image.
        image: String,
        /// The findings.
        found: Diagnostics,
    },
    /// There is nothing to push.
    #[error("no up-to-date local build of {image}")]
    NotBuilt {
        /// The image.
        image: String,
    },
    /// The base is not to be had.
    #[error(transparent)]
    Base(#[from] crate::observe::Error),
    /// Publishing.
    #[error(transparent)]
    Publish(#[from] crate::publish::Error),
    /// A tag breaks the grammar.
    #[error(transparent)]
    Tags(#[from] crate::tags::TagError),
    /// A file of `.golden`.
    #[error(transparent)]
    State(#[from] crate::workspace::state::Error),
}

impl Failed {
    /// What happened, for a place that names the image itself.
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

    /// What to do next.
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

    /// Whether the spec contradicts itself on its base (exit 2).
    #[must_use]
    pub const fn is_of_the_spec(&self) -> bool {
        matches!(self, Self::Engine(error) if error.is_of_the_spec())
    }

    /// Whether publishing was refused (exit 4) rather than failed.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Publish(crate::publish::Error::Refused { .. }))
    }
}
