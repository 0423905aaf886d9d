//! Why an image was not published.

use super::hold::Unsettled;
use crate::reference::{Digest, Reference, Repository, Tag};

/// Why an image was not published.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A tag may not be touched. Nothing was written.
    #[error("{image} is refused: {}", because.join("; "))]
    Refused {
        /// The image.
        image: String,
        /// Why, one line a tag.
        because: Vec<String>,
        /// What would be accepted.
        help: Vec<String>,
    },
    /// The registry changed between the plan and the first write, so that something would happen that was not
    /// planned. Nothing was written.
    #[error("{repository}:{tag} changed since the plan was made: {what}")]
    Raced {
        /// The repository.
        repository: Repository,
        /// The tag.
        tag: Tag,
        /// What changed.
        what: String,
    },
    /// What was pushed through the engine is not what was built.
    #[error("{reference} holds the config {found}, but the image in the engine is {expected}")]
    OtherContent {
        /// What was pushed.
        reference: String,
        /// The config that the registry has.
        found: Digest,
        /// The image ID.
        expected: Digest,
    },
    /// What was just put is not there.
    #[error("{0} is not there after it was pushed")]
    Vanished(Reference),
    /// A tag does not point to what was put there.
    #[error(transparent)]
    Unsettled(#[from] Unsettled),
    /// Somebody else published other content as the same version at the same time. Moving tags are on theirs.
    #[error(
        "{repository}:{tag} is {found}: somebody else published other content as this version at the same time"
    )]
    Overtaken {
        /// The repository.
        repository: Repository,
        /// The immutable tag.
        tag: Tag,
        /// What it names.
        found: Digest,
    },
    /// There is nothing to upload: neither was the image built, nor has a registry it.
    #[error("{0} was not built, so there is nothing to upload")]
    NotBuilt(String),
    /// A registry did not answer as it should.
    #[error(transparent)]
    Registry(#[from] crate::registry::Error),
    /// The engine did not push.
    #[error(transparent)]
    Engine(Box<crate::engine::Error>),
    /// What is published cannot be read.
    #[error(transparent)]
    Observe(Box<crate::observe::Error>),
    /// A manifest is not one.
    #[error("{repository}: {source}")]
    Manifest {
        /// The repository.
        repository: Repository,
        /// What is wrong.
        source: crate::oci::manifest::Error,
    },
    /// A version makes no tags.
    #[error(transparent)]
    Tags(#[from] crate::tags::TagError),
    /// A receipt or a record could not be written.
    #[error(transparent)]
    State(#[from] crate::workspace::state::Error),
}

impl Error {
    /// What to do next.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Refused { help, .. } => return help.clone(),
            Self::Raced { .. } => "run the same command again: it plans anew",
            Self::Unsettled(unsettled) => unsettled.hint(),
            Self::Overtaken { .. } => {
                "`golden inspect` shows what they published; publish this under a new version"
            }
            Self::OtherContent { .. } => {
                "another publisher may have pushed the same version: `golden inspect` shows it"
            }
            Self::NotBuilt(_) => "`golden build` makes it",
            Self::Observe(error) => return error.hints(),
            Self::Registry(error) => return error.hints(),
            Self::Engine(error) => return error.hints(),
            Self::Vanished(_) | Self::Manifest { .. } | Self::Tags(_) | Self::State(_) => {
                return Vec::new();
            }
        };
        vec![hint.to_owned()]
    }

    /// Whether a rule forbade it (exit 4), in difference to a failure.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }
}

impl From<crate::engine::Error> for Error {
    fn from(error: crate::engine::Error) -> Self {
        Self::Engine(Box::new(error))
    }
}

impl From<crate::observe::Error> for Error {
    fn from(error: crate::observe::Error) -> Self {
        Self::Observe(Box::new(error))
    }
}
