//! Reads the current state before a decision: base digests, published tags and inputs. All requests
//! are read-only and run concurrently.

mod absent;
mod bases;
mod cache;
mod lists;
mod repositories;
mod upstream;

pub use absent::Absent;
pub use bases::{bases, from_lock};
pub use cache::ConfigCache;
pub use lists::{claimed_tags, complete_tags};
pub use repositories::{labels_of, remember, repositories};
pub use upstream::upstream;

use crate::reference::{Reference, Repository};

/// The maximum number of concurrent requests.
const CONCURRENT: usize = 64;

/// The reason why the state could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither the registry nor an engine has the base.
    #[error("base `{reference}` {because}; no engine has it")]
    NoBase {
        /// The reference of the base.
        reference: Reference,
        /// The reason why the registry did not return it.
        because: NoBase,
    },
    /// The registry has the base, but it cannot be used.
    #[error(transparent)]
    Unusable(Box<crate::engine::embedded::Error>),
    /// No tag of the base matches its version requirement.
    #[error("no tag of {repository} matches the version requirement `{requirement}`")]
    NoTag {
        /// The repository of the base.
        repository: Repository,
        /// The version requirement, as in the spec.
        requirement: String,
    },
    /// A registry request failed.
    #[error(transparent)]
    Registry(#[from] crate::registry::Error),
}

/// The reason why a registry did not return a base.
#[derive(Debug)]
pub enum NoBase {
    /// The registry has no such image.
    Absent(Box<Absent>),
    /// The request failed, so it is unknown whether the image exists.
    Unread(Box<crate::registry::Error>),
}

impl std::fmt::Display for NoBase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Absent(absent) => write!(f, "not found: {}", absent.reason()),
            Self::Unread(error) => write!(f, "could not be read: {error}"),
        }
    }
}

impl Error {
    /// True if the registry lost a part of the content, so that a retry does not help.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Registry(error) => error.is_about_content() || error.status == Some(500),
            Self::NoBase { .. } | Self::Unusable(_) | Self::NoTag { .. } => false,
        }
    }

    /// The hints for the user, one per line.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::NoBase {
                because: NoBase::Unread(error),
                ..
            } => error.hints(),
            Self::NoBase {
                because: NoBase::Absent(absent),
                ..
            } => absent.hints(),
            Self::NoTag { repository, .. } => {
                vec![format!("`golden ls {repository}` lists its tags")]
            }
            Self::Registry(error) => error.hints(),
            Self::Unusable(error) => error.hints(),
        }
    }
}
