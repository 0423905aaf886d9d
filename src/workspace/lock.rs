//! golden.lock: every external base as a digest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::platform::Platform;
use crate::reference::{Digest, Reference};

/// The lock file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lock {
    /// Locked bases, by [`key`].
    pub bases: BTreeMap<String, LockedBase>,
}

/// One locked base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedBase {
    /// What was asked for: the reference, or the repository with the requirement.
    pub base: String,
    /// The reference that this stands for: as written, or with the tag that the requirement chose.
    pub reference: Reference,
    /// Its digest: of the index, when it is one.
    pub digest: Digest,
    /// The digest of each platform, when it is an index.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub platforms: BTreeMap<Platform, Digest>,
}

/// What a base is called in the lock: `docker.io/library/debian:12`, or `docker.io/library/debian@^12` for a
/// requirement. None for what is not external.
#[must_use]
pub fn key(base: &crate::resolve::image::Base) -> Option<String> {
    use crate::resolve::image::Base;
    match base {
        Base::Scratch | Base::Workspace { .. } => None,
        Base::Reference(reference) => Some(reference.to_string()),
        Base::Requirement { repository, requirement } => Some(format!("{repository} {requirement}")),
    }
}
