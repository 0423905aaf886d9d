//! The reason for a decision about a tag.

use std::fmt;

use semver::Version;
use serde::{Serialize, Serializer};

use crate::reference::Tag;

/// The reason for a decision about a tag. It is displayed as a clause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MoveReason {
    /// The tag does not exist yet.
    New,
    /// The version is published again with the same content.
    Again,
    /// The version tag may change, because `immutable` is false.
    Mutable,
    /// `latest` moves to every version.
    LatestAlways,
    /// An extra tag moves to every version.
    Extra,
    /// The tag points to a lower version.
    Lower(Tag),
    /// No stable version is higher.
    Highest,
    /// A higher version has the tag.
    Higher(Tag),
    /// The version is withdrawn, and its own tag remains.
    OwnTagRemains(Version),
    /// The version is withdrawn, so that the tag belongs to another version.
    Withdrawn(Version),
    /// The version is withdrawn, and no other version can have the tag.
    OnlyWithdrawn(Version),
    /// The tag has other content, and versions are immutable.
    Immutable(Tag),
    /// A version with build metadata was published after the plain version.
    PublishedAfter {
        /// The tag of the version with build metadata.
        later: Tag,
        /// The plain version.
        ours: Version,
    },
    /// A version with build metadata is published, but the plain version is not.
    PublishedAlone {
        /// The tag of the version with build metadata.
        later: Tag,
        /// The plain version.
        ours: Version,
    },
    /// The tag has other content in the repository that an image is promoted to.
    OtherContent,
    /// The tag is copied because promotion was requested with its name.
    CopiedByName,
    /// The tag points to this image.
    InPlace,
    /// The tag points to another image.
    Elsewhere,
    /// This version tag moves for the first time, so that another tag keeps its content reachable.
    FirstMove(Tag),
    /// The image is refused in a registry, so that its tags do not change.
    ImageRefused,
}

impl fmt::Display for MoveReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New => f.write_str("does not exist yet"),
            Self::Again => f.write_str("published again"),
            Self::Mutable => f.write_str("`immutable` is false"),
            Self::LatestAlways => f.write_str("`latest` is `always`"),
            Self::Extra => f.write_str("an extra tag always moves"),
            Self::Lower(tag) => write!(f, "{tag} is lower"),
            Self::Highest => f.write_str("no stable version is higher"),
            Self::Higher(tag) => write!(f, "{tag} is the higher version"),
            Self::OwnTagRemains(ours) => write!(f, "{ours} is withdrawn; its own tag remains"),
            Self::Withdrawn(ours) => write!(f, "{ours} is withdrawn"),
            Self::OnlyWithdrawn(ours) => {
                write!(f, "{ours} is withdrawn, and no other version remains")
            }
            Self::Immutable(tag) => {
                write!(f, "{tag} is already published, and versions are immutable")
            }
            Self::PublishedAfter { later, ours } => write!(f, "{later} was published after {ours}"),
            Self::PublishedAlone { later, ours } => {
                write!(f, "{later} is published, but {ours} is not")
            }
            Self::OtherContent => f.write_str("already points to other content"),
            Self::CopiedByName => f.write_str("it is copied by its name"),
            Self::InPlace => f.write_str("already points to this image"),
            Self::Elsewhere => f.write_str("points to another image"),
            Self::FirstMove(tag) => write!(f, "{tag} moves for the first time"),
            Self::ImageRefused => f.write_str("the image is refused"),
        }
    }
}

impl Serialize for MoveReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
