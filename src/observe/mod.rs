//! Reads the current state before a decision: base digests, published tags and inputs. All requests
//! are read-only and run concurrently.

mod absent;
mod artifacts;
mod bases;
mod cache;
mod lists;
mod repositories;
mod upstream;

pub use absent::Absent;
pub use artifacts::artifacts;
pub use bases::{bases, from_lock};
pub use cache::ConfigCache;
pub use lists::{claimed_tags, complete_tags};
pub use repositories::{labels_of, repositories};
pub use upstream::upstream;

use crate::reference::{Reference, Repository};

/// The maximum number of concurrent requests.
const CONCURRENT: usize = 64;

/// The reason why the state could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The registry does not return the base, and no engine has it.
    #[error("base `{reference}` {because}{engine}")]
    NoBase {
        /// The reference of the base.
        reference: Reference,
        /// The reason why the registry did not return it.
        because: NoBase,
        /// The result of the search in an engine.
        engine: EngineSearch,
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

/// The result of the search for a base in an engine, if no registry returned it.
#[derive(Debug)]
pub enum EngineSearch {
    /// The command uses no engine.
    NotAsked,
    /// The engine does not have the base.
    Lacks,
    /// No engine could be asked; the text says why, with its address.
    Unanswered(String),
}

impl std::fmt::Display for EngineSearch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotAsked => Ok(()),
            Self::Lacks => f.write_str("; no engine has it"),
            Self::Unanswered(why) => write!(f, "; {why}"),
        }
    }
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
    /// Adds to the error of a missing base that no engine could be asked for it.
    #[must_use]
    pub fn without_engine(self, why: &crate::engine::Error) -> Self {
        match self {
            Self::NoBase {
                reference, because, ..
            } => Self::NoBase {
                reference,
                because,
                engine: EngineSearch::Unanswered(why.to_string()),
            },
            other => other,
        }
    }

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
