//! Asking before deciding: base digests, published tags and inputs, all read-only and side by side.

mod bases;
mod cache;
mod repositories;
mod upstream;

pub use bases::{bases, from_lock};
pub use cache::ConfigCache;
pub use repositories::{labels_of, remember, repositories};
pub use upstream::upstream;

use crate::reference::{Reference, Repository};

/// How many requests wait for an answer at once.
const CONCURRENT: usize = 64;

/// Why something could not be observed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A base that neither its registry nor an engine gave.
    #[error("base `{reference}` {because}; no engine has it")]
    NoBase {
        /// The base.
        reference: Reference,
        /// Why.
        because: NoBase,
    },
    /// A base that its registry has, and that cannot be used.
    #[error(transparent)]
    Unusable(Box<crate::engine::embedded::Error>),
    /// No tag of a base fits its requirement.
    #[error("no tag of {repository} fits the version requirement `{requirement}`")]
    NoTag {
        /// The base's repository.
        repository: Repository,
        /// The requirement.
        requirement: String,
    },
    /// A registry did not answer as it should.
    #[error(transparent)]
    Registry(#[from] crate::registry::Error),
    /// What is published is not an image.
    #[error("{repository}: {source}")]
    Manifest {
        /// The repository.
        repository: Repository,
        /// What is wrong.
        source: crate::oci::manifest::Error,
    },
    /// What is published has a config that cannot be read.
    #[error("{repository}: {source}")]
    Config {
        /// The repository.
        repository: Repository,
        /// What is wrong.
        source: crate::oci::config::Error,
    },
}

/// Why a base is unavailable.
#[derive(Debug)]
pub enum NoBase {
    /// Its registry has no such image.
    Absent,
    /// Its registry did not say whether it exists.
    Unread(Box<crate::registry::Error>),
}

impl std::fmt::Display for NoBase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Absent => f.write_str("not found: the registry has no such image"),
            Self::Unread(error) => write!(f, "could not be read: {error}"),
        }
    }
}

impl Error {
    /// Whether the registry lost a part of the content, so that asking again does not help.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Registry(error) => error.is_about_content() || error.status == Some(500),
            Self::NoBase { .. }
            | Self::Unusable(_)
            | Self::NoTag { .. }
            | Self::Manifest { .. }
            | Self::Config { .. } => false,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::NoBase {
                because: NoBase::Unread(error),
                ..
            } => error.hints(),
            Self::NoBase {
                reference,
                because: NoBase::Absent,
            } => {
                vec![format!(
                    "check the name, log in to {}, or pull the image first",
                    reference.repository.host
                )]
            }
            Self::NoTag { repository, .. } => {
                vec![format!("`golden ls {repository}` lists its tags")]
            }
            Self::Registry(error) => error.hints(),
            Self::Unusable(error) => error.hints(),
            Self::Manifest { .. } | Self::Config { .. } => Vec::new(),
        }
    }
}
