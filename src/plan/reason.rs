//! The reason for a planned step.

use std::fmt;

use semver::Version;
use serde::{Serialize, Serializer};

use crate::reference::{Digest, Repository, Tag};
use crate::tags::MoveReason;

/// The reason why an image is built, skipped or refused. It is displayed as a clause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The command line forces the build.
    Forced,
    /// The run publishes nothing.
    NothingPublished,
    /// No registry has the version.
    NewVersion,
    /// The version is withdrawn.
    Withdrawn(Version),
    /// The base, an image of the workspace, is withdrawn and no registry has it.
    BaseWithdrawn(String),
    /// The version is published with the same inputs.
    SameInputs(Version),
    /// The version is published with other inputs and must not change.
    OtherInputs(Version),
    /// The version is published, but the registry lost a part of it.
    Damaged(Version),
    /// A version tag points to the image of another version.
    Overwritten {
        /// The repository of the tag.
        repository: Repository,
        /// The version tag.
        tag: String,
        /// The version of the image that it points to.
        image: Version,
    },
    /// A tag refuses the change.
    Tag {
        /// The repository of the tag.
        repository: Repository,
        /// The tag that refuses the change.
        tag: Tag,
        /// The reason for the refusal.
        because: MoveReason,
    },
    /// The published image has no inputs digest.
    NoInputsLabel,
    /// The spec names another base.
    OtherBase {
        /// The name of the base of the published image.
        was: String,
        /// The name of the base in the spec.
        now: String,
    },
    /// The base, an image of the workspace, is rebuilt.
    BaseRebuilt(String),
    /// The base has another digest.
    BaseMoved {
        /// The digest in the labels of the published image.
        was: String,
        /// The digest of the base.
        now: Digest,
    },
    /// The value of a key of the spec, such as `env.PATH`, changed.
    Changed(String),
    /// A key of the spec, such as `env.PATH`, was removed.
    Removed(String),
    /// Parts of the inputs that the image config does not record changed.
    PartsChanged {
        /// The published version.
        was: Version,
        /// The parts, such as `file /etc/motd`.
        parts: Vec<String>,
    },
    /// One of these parts of the inputs changed. The image config does not record which.
    Unrecorded(Vec<&'static str>),
}

impl Reason {
    /// True if the published image differs from the spec.
    #[must_use]
    pub const fn is_difference(&self) -> bool {
        matches!(
            self,
            Self::OtherInputs(_)
                | Self::NoInputsLabel
                | Self::OtherBase { .. }
                | Self::BaseRebuilt(_)
                | Self::BaseMoved { .. }
                | Self::Changed(_)
                | Self::Removed(_)
                | Self::PartsChanged { .. }
                | Self::Unrecorded(_)
        )
    }

    /// The refusal of a tag.
    pub(crate) fn of_tag(repository: &Repository, tag: &Tag, because: &MoveReason) -> Self {
        Self::Tag {
            repository: repository.clone(),
            tag: tag.clone(),
            because: because.clone(),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forced => f.write_str("--force"),
            Self::NothingPublished => f.write_str("nothing is published in this run"),
            Self::NewVersion => f.write_str("new version"),
            Self::Withdrawn(version) => write!(f, "{version} is withdrawn"),
            Self::BaseWithdrawn(base) => {
                write!(f, "its base {base} is withdrawn and not published")
            }
            Self::SameInputs(version) => write!(f, "{version} is published with the same inputs"),
            Self::OtherInputs(version) => write!(
                f,
                "{version} is published with other inputs, and versions are immutable"
            ),
            Self::Damaged(version) => {
                write!(
                    f,
                    "{version} is published, but the registry lost a part of it"
                )
            }
            Self::Overwritten {
                repository,
                tag,
                image,
            } => write!(
                f,
                "{repository}: {tag} points to the image of {image}: its tag was overwritten"
            ),
            Self::Tag {
                repository,
                tag,
                because,
            } => write!(f, "{repository}:{tag}: {because}"),
            Self::NoInputsLabel => {
                f.write_str("the published image has no label dev.golden.inputs")
            }
            Self::OtherBase { was, now } => write!(f, "base changed {was} → {now}"),
            Self::BaseRebuilt(base) => write!(f, "its base {base} is rebuilt"),
            Self::BaseMoved { was, now } => write!(f, "base moved {was} → {now}"),
            Self::Changed(key) => write!(f, "{key} changed"),
            Self::Removed(key) => write!(f, "{key} removed"),
            Self::PartsChanged { was, parts } => {
                write!(f, "changed since {was} was published: {}", parts.join(", "))
            }
            Self::Unrecorded(parts) => {
                f.write_str("inputs changed that the image config does not record: ")?;
                match parts.split_last() {
                    None => Ok(()),
                    Some((last, [])) => f.write_str(last),
                    Some((last, others)) => write!(f, "{} or {last}", others.join(", ")),
                }
            }
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The reasons in one line.
#[must_use]
pub fn joined(reasons: &[Reason], separator: &str) -> String {
    let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
    reasons.join(separator)
}
