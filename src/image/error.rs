//! The reasons why the content of an image cannot be used. A [`Source`](super::Source) adds the
//! location.

use super::tree::DEEPEST;
use crate::oci;
use crate::platform::Platform;

/// The reason why a manifest or a config cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The manifest is invalid.
    #[error(transparent)]
    Manifest(#[from] oci::manifest::Error),
    /// The config is invalid.
    #[error(transparent)]
    Config(#[from] oci::config::Error),
    /// The indexes are nested too deeply.
    #[error("the index has more than {DEEPEST} levels of nested indexes")]
    TooDeep,
    /// The content is not an image, as a clause.
    #[error("{0}")]
    NoImage(String),
    /// The index has no image for the platform.
    #[error("it {0}")]
    Unfit(#[from] Unfit),
}

/// The reason why an index has no image for a platform, as the end of a sentence about the index.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// The image is not available for the platform.
    #[error("is not for {wanted}; it is for {has}")]
    Platform {
        /// The requested platform.
        wanted: Platform,
        /// The available platforms, separated by commas.
        has: String,
    },
    /// The image is not available for the platform, and its index lists no platform at all.
    #[error(
        "is not for {wanted}; the index lists no platform; its images are: {has} (from the config)"
    )]
    Unlisted {
        /// The requested platform.
        wanted: Platform,
        /// The platforms in the configs of the images, separated by commas.
        has: String,
    },
    /// The index lists no image.
    #[error("holds no image; its index lists {0}")]
    Empty(String),
    /// Several images are for the platform. They differ only in the version of the operating
    /// system.
    #[error("has several images for {platform}: os.version {versions}")]
    Ambiguous {
        /// The requested platform.
        platform: Platform,
        /// The versions of the operating system, separated by commas.
        versions: String,
    },
}

impl Unfit {
    /// The hint for the user, if there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Platform { has, .. } | Self::Unlisted { has, .. } => {
                let first = has.split(", ").next().unwrap_or(has);
                Some(format!(
                    "to build for {first}, set platforms = [\"{first}\"] under [image]"
                ))
            }
            Self::Empty(_) => None,
            Self::Ambiguous { .. } => Some(
                "pin one of them: base = \"REPOSITORY@DIGEST\" with the digest of its manifest"
                    .to_owned(),
            ),
        }
    }
}
