//! The observed state of registries and engines, as plain values. Pure code decides from these
//! values, and tests write them by hand.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::config_files::policy::RequiredArtifact;
use crate::oci::ImageConfig;
use crate::platform::Platform;
use crate::reference::{Digest, Reference, Repository, Tag};

/// Everything that golden reads from registries and engines before it makes a plan.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Observed {
    /// External bases, by the reference in the spec or in the lock file.
    pub bases: BTreeMap<Reference, ObservedBase>,
    /// OCI layouts that are bases, by the digest of the index: the digest of each platform's
    /// manifest. Empty for a single image.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub layouts: BTreeMap<Digest, BTreeMap<Platform, Digest>>,
    /// The reference that a version requirement on a base resolves to, by repository and by the
    /// requirement as written.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requirements: BTreeMap<Repository, BTreeMap<String, Reference>>,
    /// State of the destination repositories.
    pub repositories: BTreeMap<Repository, ObservedRepository>,
}

/// An external base, as a registry or an engine reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ObservedBase {
    /// The base is in a registry.
    Registry {
        /// The digest that the reference resolves to: that of the index if the base is an index.
        digest: Digest,
        /// The manifest digest of each platform; empty for a single image.
        platforms: BTreeMap<Platform, Digest>,
    },
    /// No registry has the base or can be reached, but the engine has an image of that name.
    Local {
        /// The image ID in the engine.
        id: Digest,
        /// The reason why the registry could not be used.
        because: String,
    },
}

/// The state of a destination repository.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ObservedRepository {
    /// Every tag, sorted, except tags of the images' own versions that point to no manifest.
    pub tags: Vec<Tag>,
    /// The digest of each tag that was read: every tag of the images' fan-outs, and the tags of
    /// higher versions that keep a moving tag.
    pub digests: BTreeMap<Tag, Digest>,
    /// The published image of each tag of the images' own versions.
    pub published: BTreeMap<Tag, Published>,
}

/// The image that a tag points to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Digest of the manifest or index.
    pub digest: Digest,
    /// The label `dev.golden.inputs`; `None` if the config was not read or lacks the label.
    pub inputs: Option<Digest>,
    /// The artifacts that golden.toml requires and that the image lacks.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub lacking: BTreeSet<RequiredArtifact>,
    /// All labels of the config; empty if the config was not read.
    pub labels: BTreeMap<String, String>,
    /// The runtime part of the config; empty if the config was not read.
    #[serde(default)]
    pub runtime: ImageConfig,
    /// The parts of its inputs, if it was built or published here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<InputParts>,
}

/// The parts of an image's inputs that its config does not record: the digest of each file,
/// certificate and step, by the name that messages show.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct InputParts(pub BTreeMap<String, Digest>);
