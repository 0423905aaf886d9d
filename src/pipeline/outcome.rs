//! What a run did with each image: shown as the summary, printed as JSON, written by `--metadata-file`.

use serde::Serialize;

use crate::engine::EngineKind;
use crate::publish::receipt::Receipt;
use crate::reference::{Digest, Reference};

/// What became of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageOutcome {
    /// It was built and stays on this machine.
    Built,
    /// It was published.
    Published,
    /// It is published already, and only tags were created or moved.
    Retagged,
    /// It is published already, with the same inputs, and every tag is where it belongs.
    Unchanged,
    /// Its version is withdrawn, so that it was not published.
    Withdrawn,
    /// A rule forbids to publish it.
    Refused,
    /// Something failed.
    Failed,
    /// The image that it is built on was not done.
    Skipped,
}

impl ImageOutcome {
    /// The word for people.
    #[must_use]
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Built => "built",
            Self::Published => "published",
            Self::Retagged => "retagged",
            Self::Unchanged => "unchanged",
            Self::Withdrawn => "withdrawn",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// What a run did with one image.
#[derive(Debug, Clone, Serialize)]
pub struct ImageReport {
    /// The image's name in the workspace.
    pub image: String,
    /// The version that went out.
    pub version: semver::Version,
    /// The variant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// What became of it.
    pub outcome: ImageOutcome,
    /// Why it was built, skipped or refused, or what failed.
    pub because: String,
    /// The engine that built it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineKind>,
    /// `dev.golden.inputs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Digest>,
    /// The engine's image ID, or the digest of what was assembled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Its names in the Docker Engine.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub local: Vec<Reference>,
    /// What was published where.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub receipts: Vec<Receipt>,
}
