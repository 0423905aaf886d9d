//! The error of publishing an image.

use super::hold::Unsettled;
use crate::plan::{Reason, joined};
use crate::reference::{Digest, Reference, Repository, Tag};

/// The reason why an image was not published.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A tag rule forbids the change. Nothing was written.
    #[error("refusing to publish {image}: {}", joined(because, "; "))]
    Refused {
        /// The image with its version, such as `app:1.2.3`.
        image: String,
        /// The reasons, one per tag.
        because: Vec<Reason>,
        /// The hints that say what would be accepted.
        help: Vec<String>,
    },
    /// The registry changed between the plan and the first write, so that the plan no longer
    /// applies. Nothing was written.
    #[error("{repository}:{tag} changed since the plan was made: {what}")]
    Raced {
        /// The repository that changed.
        repository: Repository,
        /// The tag that changed.
        tag: Tag,
        /// The change, as a clause.
        what: String,
    },
    /// The engine pushed an image that differs from the one that was built.
    #[error("{reference} has the config {found}, but the image in the engine has {expected}")]
    OtherContent {
        /// The reference that was pushed.
        reference: String,
        /// The digest of the config in the registry.
        found: Digest,
        /// The image ID in the engine.
        expected: Digest,
    },
    /// The registry does not have a manifest that was just pushed.
    #[error("{0} was pushed, but the registry does not have it")]
    Vanished(Reference),
    /// A tag does not point to the manifest that was put.
    #[error(transparent)]
    Unsettled(#[from] Unsettled),
    /// Another publisher published other content as the same version at the same time. The moving
    /// tags point to that content.
    #[error(
        "{repository}:{tag} points to {found}: another publisher published different content as this version at the same time"
    )]
    Overtaken {
        /// The repository with the conflict.
        repository: Repository,
        /// The immutable tag.
        tag: Tag,
        /// The digest that the tag points to.
        found: Digest,
    },
    /// A test or a gate does not allow that tags move.
    #[error("{because}; no tag was moved")]
    Blocked {
        /// The reason, as a clause.
        because: String,
    },
    /// There is nothing to upload: the image was not built, and no registry has it.
    #[error("{0} was not built, so there is nothing to upload")]
    NotBuilt(String),
    /// The image is only in an engine, but artifacts must be attached before a tag points to it.
    #[error(
        "{0} was not exported from the engine, which would put its tag before signatures and statements are attached"
    )]
    NotExported(String),
    /// A registry request failed.
    #[error(transparent)]
    Registry(#[from] crate::registry::Error),
    /// The engine failed to push.
    #[error(transparent)]
    Engine(Box<crate::engine::Error>),
    /// The published image cannot be read.
    #[error(transparent)]
    Observe(Box<crate::observe::Error>),
    /// The image cannot be signed.
    #[error(transparent)]
    Signing(#[from] crate::signing::Error),
    /// A layer cannot be read for the bill of materials.
    #[error(transparent)]
    Layer(#[from] crate::image::LayerError),
    /// A manifest is invalid.
    #[error("{repository}: {source}")]
    Manifest {
        /// The repository of the manifest.
        repository: Repository,
        /// The error in the manifest.
        source: crate::oci::manifest::Error,
    },
    /// A version cannot be converted to tags.
    #[error(transparent)]
    Tags(#[from] crate::tags::TagError),
    /// A receipt or a build record could not be written.
    #[error(transparent)]
    State(#[from] crate::workspace::state::Error),
}

impl Error {
    /// The hints for the user, one per line.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Refused { help, .. } => return help.clone(),
            Self::Raced { .. } => "run the same command again; it makes a new plan",
            Self::Unsettled(unsettled) => unsettled.hint(),
            Self::Overtaken { .. } => {
                "`golden inspect` shows the other content; publish this image under a new version"
            }
            Self::OtherContent { .. } => {
                "another publisher may have pushed the same version; `golden inspect` shows it"
            }
            Self::NotBuilt(_) => "run `golden build` first",
            Self::NotExported(_) => "run `golden build --push`, which exports the image",
            Self::Observe(error) => return error.hints(),
            Self::Registry(error) => return error.hints(),
            Self::Signing(error) => return error.hints(),
            Self::Engine(error) => return error.hints(),
            Self::Blocked { .. }
            | Self::Vanished(_)
            | Self::Layer(_)
            | Self::Manifest { .. }
            | Self::Tags(_)
            | Self::State(_) => return Vec::new(),
        };
        vec![hint.to_owned()]
    }

    /// True if a rule forbade publishing (exit code 4); false for a failure.
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
