//! Why the embedded engine could not make an image.

use std::path::PathBuf;

use crate::platform::Platform;
use crate::{assemble, oci, registry};

/// Why the embedded engine could not make an image. Each variant is one problem that a user can tell apart.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be assembled.
    #[error(transparent)]
    Assemble(#[from] assemble::Error),
    /// The registry has no such base.
    #[error("the base {reference} does not exist")]
    BaseMissing {
        /// What was asked for.
        reference: String,
    },
    /// The base is not for the platform that is wanted.
    #[error("the base {reference} is not for {wanted}; it is for {has}")]
    Platform {
        /// The base.
        reference: String,
        /// The platform that is wanted.
        wanted: Platform,
        /// Those that it is for.
        has: String,
    },
    /// The base's index has no image at all.
    #[error("the base {reference} holds no image; its index lists {found}")]
    NoImage {
        /// The base.
        reference: String,
        /// What its index holds instead.
        found: String,
    },
    /// Several images are for the platform, and only their operating system's version tells them apart.
    #[error("the base {reference} has several images for {platform}: os.version {versions}")]
    Ambiguous {
        /// The base.
        reference: String,
        /// The platform.
        platform: Platform,
        /// The versions of the operating system.
        versions: String,
    },
    /// Only an engine has the base.
    #[error(
        "the base {reference} is in the Docker Engine alone, where the embedded engine cannot read it"
    )]
    LocalBase {
        /// The base.
        reference: String,
    },
    /// The parent is an image of the workspace that is neither assembled in this run nor published.
    #[error("the base {parent} of this workspace is neither assembled in this run nor published")]
    ParentMissing {
        /// Its display name.
        parent: String,
    },
    /// The base's manifest cannot be used.
    #[error("the base {reference}: {source}")]
    Manifest {
        /// The base.
        reference: String,
        /// What is wrong.
        source: oci::manifest::Error,
    },
    /// The base's config cannot be used.
    #[error("the base {reference}: {source}")]
    Config {
        /// The base.
        reference: String,
        /// What is wrong.
        source: oci::config::Error,
    },
    /// The layout that the base is in cannot be read.
    #[error(transparent)]
    Layout(#[from] crate::store::Error),
    /// A layer of the base cannot be read.
    #[error("layer {digest} of the base cannot be read: {what}")]
    Layer {
        /// The layer.
        digest: String,
        /// What is wrong with it.
        what: String,
    },
    /// A file could not be read into a layer, or a layer not be written to the cache.
    #[error("{}: {source}", path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The cache could not be written.
    #[error(transparent)]
    Cache(#[from] crate::workspace::state::Error),
    /// A registry failed.
    #[error(transparent)]
    Registry(#[from] registry::Error),
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Assemble(error) => error.hints(),
            Self::BaseMissing { .. } => {
                vec!["look for a typing error in `base`; a private base needs a login".to_owned()]
            }
            Self::Platform { has, .. } => {
                let first = has.split(", ").next().unwrap_or(has);
                vec![format!(
                    "to build for {first}, set platforms = [\"{first}\"] under [image]"
                )]
            }
            Self::Ambiguous { .. } => {
                vec![
                    "pin one of them: base = \"REPOSITORY@DIGEST\" with the digest of its manifest"
                        .to_owned(),
                ]
            }
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

    /// Whether the docker engine could make the image, so that `auto` may try it.
    #[must_use]
    pub const fn needs_execution(&self) -> bool {
        matches!(
            self,
            Self::Assemble(assemble::Error::NeedsExecution(_)) | Self::LocalBase { .. }
        )
    }
}
