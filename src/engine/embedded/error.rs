//! Errors of the embedded engine.

use std::path::PathBuf;

use crate::{assemble, image, registry};

/// The reason why the embedded engine failed. Each variant is one problem that a user can
/// recognise.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The image cannot be assembled.
    #[error(transparent)]
    Assemble(#[from] assemble::Error),
    /// The registry has no such base.
    #[error("the base {reference} does not exist")]
    BaseMissing {
        /// The reference of the base.
        reference: String,
    },
    /// The base has no image for the requested platform.
    #[error("the base {reference} {unfit}")]
    Unfit {
        /// The reference of the base.
        reference: String,
        /// The reason.
        unfit: image::Unfit,
    },
    /// Only a Docker Engine has the base.
    #[error(
        "the base {reference} is only in the Docker Engine, and the embedded engine cannot read it there"
    )]
    LocalBase {
        /// The reference of the base.
        reference: String,
    },
    /// The parent is an image of the workspace that is neither assembled in this run nor published.
    #[error("the base {parent} of this workspace is neither built in this run nor published")]
    ParentMissing {
        /// The display name of the parent.
        parent: String,
    },
    /// A manifest or a config of the base is invalid.
    #[error("the base {reference}: {source}")]
    Image {
        /// The reference of the base.
        reference: String,
        /// The problem of the content.
        source: image::Error,
    },
    /// The OCI layout with the base cannot be read.
    #[error(transparent)]
    Layout(#[from] crate::store::Error),
    /// A layer of the base cannot be read.
    #[error("layer {digest} of the base cannot be read: {what}")]
    Layer {
        /// The digest of the compressed layer.
        digest: String,
        /// The problem, in a few words.
        what: String,
    },
    /// A file cannot be read for a layer, or a layer cannot be written to the cache.
    #[error("{}: {source}", path.display())]
    File {
        /// The path of the file or directory.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The cache cannot be read or written.
    #[error(transparent)]
    Cache(#[from] crate::workspace::state::Error),
    /// A request to a registry failed.
    #[error(transparent)]
    Registry(#[from] registry::Error),
}

impl Error {
    /// Hints for the user, one line each.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Assemble(error) => error.hints(),
            Self::BaseMissing { .. } => {
                vec!["check the spelling of `base`; a private base needs a login".to_owned()]
            }
            Self::Unfit { unfit, .. } => unfit.hint().into_iter().collect(),
            Self::Layout(error) => error.hints(),
            Self::LocalBase { .. } => {
                vec!["push it to a registry, or build with --engine docker".to_owned()]
            }
            Self::ParentMissing { .. } => {
                vec!["build it in the same run, or push it first".to_owned()]
            }
            _ => Vec::new(),
        }
    }

    /// True if a Docker Engine may be able to build the image. With `engine = "auto"`, golden then
    /// uses one.
    #[must_use]
    pub const fn needs_docker(&self) -> bool {
        matches!(
            self,
            Self::Assemble(assemble::Error::NeedsExecution(_)) | Self::LocalBase { .. }
        )
    }
}
