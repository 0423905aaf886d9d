//! The steps of an import, before the config of the image is known.

use indexmap::IndexMap;

use super::scripts::Body;
use crate::dockerfile::ScopeValue;

/// The working directory at one place of a Dockerfile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Workdir {
    /// The working directory of the base, which is not known.
    #[default]
    OfBase,
    /// The directory of a `WORKDIR` that the spec cannot contain.
    LeftOut,
    /// An absolute path from a `WORKDIR`.
    Known(String),
}

impl Workdir {
    /// The path, if it is known.
    pub(super) fn known(&self) -> Option<&str> {
        match self {
            Self::OfBase | Self::LeftOut => None,
            Self::Known(path) => Some(path),
        }
    }
}

/// A step, before the final values of the config are known.
#[derive(Debug, Clone, Default)]
pub(super) struct PendingStep {
    pub(super) name: String,
    pub(super) body: Body,
    pub(super) user: Option<String>,
    pub(super) workdir: Workdir,
    /// The environment at its place.
    pub(super) env: IndexMap<String, ScopeValue>,
    /// The build arguments at its place.
    pub(super) arguments: IndexMap<String, Option<ScopeValue>>,
    pub(super) secrets: Vec<String>,
    pub(super) ssh: bool,
    /// The directories that a later `WORKDIR` creates, deepest first. golden creates them before the
    /// steps.
    pub(super) absent: Vec<String>,
}
