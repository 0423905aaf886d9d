//! The report about each image of a run: shown as the summary, printed as JSON, and written by
//! `--metadata-file`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::checks::TestedPlatform;
use crate::engine::EngineKind;
use crate::gates::GateReport;
use crate::publish::receipt::Receipt;
use crate::reference::{Digest, Reference, Repository, Tag};

/// The outcome of a run for one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageOutcome {
    /// The image was built and stays on this machine.
    Built,
    /// The image was published.
    Published,
    /// The image was already published; only tags were created or moved.
    Retagged,
    /// The image was already published; only artifacts such as a signature were attached.
    Attached,
    /// The image is already published with the same inputs, and every tag points to it.
    Unchanged,
    /// The version of the image is withdrawn, so it was not published.
    Withdrawn,
    /// A rule does not allow publishing the image.
    Refused,
    /// The build or the publication failed.
    Failed,
    /// The image was not built, because its base failed.
    Skipped,
}

impl ImageOutcome {
    /// All outcomes, in the order of a summary.
    pub const ALL: [Self; 9] = [
        Self::Published,
        Self::Retagged,
        Self::Attached,
        Self::Built,
        Self::Unchanged,
        Self::Withdrawn,
        Self::Refused,
        Self::Failed,
        Self::Skipped,
    ];

    /// The word for the summary.
    #[must_use]
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Built => "built",
            Self::Published => "published",
            Self::Retagged => "retagged",
            Self::Attached => "attached",
            Self::Unchanged => "unchanged",
            Self::Withdrawn => "withdrawn",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// A repository and the tags in it that point to an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedTags {
    /// The repository.
    pub repository: Repository,
    /// The tags, from the most specific one.
    pub tags: Vec<Tag>,
}

/// The report about one image of a run.
#[derive(Debug, Clone, Serialize)]
pub struct ImageReport {
    /// The name of the image in the workspace.
    pub image: String,
    /// The version, including the revision that golden chose.
    pub version: semver::Version,
    /// The variant, such as `slim`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The outcome for this image.
    pub outcome: ImageOutcome,
    /// The reason for the build, the skip or the refusal, or the failure.
    pub because: String,
    /// The engine that built the image, if it was built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineKind>,
    /// The inputs digest, as in the label `dev.golden.inputs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Digest>,
    /// The published digest, else the image ID in the engine or the digest of the assembled image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The references of the image in the Docker Engine.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub local: Vec<Reference>,
    /// The duration of each phase in milliseconds, for an image that was not published.
    #[serde(skip)]
    pub durations: BTreeMap<String, u64>,
    /// The places where the image was already published, if it is unchanged.
    #[serde(skip)]
    pub in_place: Vec<PublishedTags>,
    /// The results of the tests, for each platform.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<TestedPlatform>,
    /// The results of the gates.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateReport>,
    /// One receipt for each registry that was changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub receipts: Vec<Receipt>,
}
