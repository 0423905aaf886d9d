//! What was read from the world, as values: pure code decides from these, and tests write them by hand.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::oci::ImageConfig;
use crate::platform::Platform;
use crate::reference::{Digest, Reference, Repository, Tag};

/// What was asked of registries and engines before a plan is made. It is serde, so that a plan can be replayed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Observed {
    /// External bases, by the reference as it is written or locked.
    pub bases: BTreeMap<Reference, ObservedBase>,
    /// The reference that a version requirement on a base means, by repository and requirement as written.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requirements: BTreeMap<Repository, BTreeMap<String, Reference>>,
    /// Destination repositories.
    pub repositories: BTreeMap<Repository, ObservedRepository>,
}

/// What is known of an external base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ObservedBase {
    /// A registry has it.
    Registry {
        /// The digest of what the reference names: of the index, when it is one.
        digest: Digest,
        /// The digest of each platform's manifest; empty for a single image.
        platforms: BTreeMap<Platform, Digest>,
    },
    /// No registry could be asked, or none has it, but the engine has an image of that name.
    Local {
        /// The engine's image ID.
        id: Digest,
        /// Why the registry did not tell.
        because: String,
    },
}

/// What a destination repository has.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ObservedRepository {
    /// Every tag, sorted, except for tags of the images' own versions that name no manifest.
    pub tags: Vec<Tag>,
    /// The digest of each tag that was read: every tag of the images' fan-outs, and the tags of the versions that hold
    /// moving tags in their place.
    pub digests: BTreeMap<Tag, Digest>,
    /// The config below the tags of the images' own versions.
    pub published: BTreeMap<Tag, Published>,
}

/// What a tag names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The manifest's digest.
    pub digest: Digest,
    /// The label `dev.golden.inputs` of its config, when that was read and has one.
    pub inputs: Option<Digest>,
    /// All labels of its config, when that was read.
    pub labels: BTreeMap<String, String>,
    /// The rest of its config's runtime part, when that was read.
    #[serde(default)]
    pub runtime: ImageConfig,
}
