//! Errors of the pipeline, one for each failed image.

use std::sync::Arc;

use super::outcome::ImageOutcome;
use crate::assemble::NeedsExecution;
use crate::diagnostic::Diagnostics;
use crate::plan::joined;
use crate::resolve::image::SpecLocation;

/// The reason why an image failed.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] crate::engine::Error),
    /// The Docker Engine cannot be used. All images of the run share this error.
    #[error(transparent)]
    Docker(#[from] Arc<crate::engine::Error>),
    /// No engine can be used for an image that needs one.
    #[error("{error}")]
    NoEngine {
        /// The error of the connection.
        #[source]
        error: Arc<crate::engine::Error>,
        /// The part of the spec that must be executed.
        needs: NeedsExecution,
    },
    /// No engine can be used to load an image into.
    #[error("{0}")]
    NoEngineToLoad(#[source] Arc<crate::engine::Error>),
    /// The built image violates the policy.
    #[error("the built image violates the policy")]
    Policy {
        /// Display name of the image.
        image: String,
        /// The violations.
        found: Diagnostics,
    },
    /// A test failed. The report has the results.
    #[error("{0}")]
    Tests(String),
    /// A layer cannot be read for a test.
    #[error(transparent)]
    Layer(#[from] crate::image::LayerError),
    /// The config of an image cannot be read for a test.
    #[error(transparent)]
    Config(#[from] crate::oci::config::Error),
    /// `golden push` found no local build of the current inputs.
    #[error("no up-to-date local build of {image}")]
    NotBuilt {
        /// Display name of the image.
        image: String,
    },
    /// The base cannot be read.
    #[error("{error}")]
    Base {
        /// The reason.
        error: crate::observe::Error,
        /// The location of the base in the spec.
        location: Option<SpecLocation>,
    },
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
    /// The outcome of the image.
    #[must_use]
    pub fn outcome(&self) -> ImageOutcome {
        if self.is_refusal() {
            ImageOutcome::Refused
        } else {
            ImageOutcome::Failed
        }
    }

    /// The failure without the name of the image, for output that already shows the name.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Publish(crate::publish::Error::Refused { because, .. }) => joined(because, "; "),
            Self::NotBuilt { .. } => "no up-to-date local build".to_owned(),
            Self::Engine(crate::engine::Error::Step {
                step, exit_code, ..
            }) => match exit_code {
                Some(code) => format!("{}: exit code {code}", step.name.plain()),
                None => format!("{} failed", step.name.plain()),
            },
            _ => self.to_string(),
        }
    }

    /// Hints for the user, one line each.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Engine(error) => error.hints(),
            Self::Docker(error) => error.hints(),
            Self::NoEngine { error, needs } => error.hints_for(needs),
            Self::NoEngineToLoad(error) => {
                error.hints_because("only --load needs it: without --load, no engine is needed")
            }
            Self::Base { error, .. } => error.hints(),
            Self::Publish(error) => error.hints(),
            Self::NotBuilt { image } => {
                let name = image.split(':').next().unwrap_or(image);
                vec![format!("run `golden build {name}`")]
            }
            Self::Policy { .. }
            | Self::Tests(_)
            | Self::Layer(_)
            | Self::Config(_)
            | Self::Tags(_)
            | Self::State(_) => Vec::new(),
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
