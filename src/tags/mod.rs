//! Tags: the semver fan-out of a version, and the decision which of its tags move. All functions
//! are pure.

mod build_cache;
mod claimed;
mod decide;
mod extra;
mod fan_out;
mod moving;
mod newest_patch;
mod next_free;
mod order;
mod owner;
mod reason;
mod requirement;
mod siblings;
mod tag_list;
mod vacated;
mod version;

pub use build_cache::{build_cache, is_build_cache};
pub use claimed::claimed;
pub use decide::{Action, Move, PublishedContent, decide};
pub use extra::{ExtraError, check_extra};
pub(crate) use fan_out::suffixed;
pub use fan_out::{FanOut, OriginalTag, PlannedTag, TagError, TagRole, fan_out, revision};
pub use moving::moving;
pub use newest_patch::{has_patch, newest_patch};
pub use next_free::next_free;
pub use order::precedence;
pub use owner::{TagOwner, owner};
pub use reason::MoveReason;
pub use requirement::{Requirement, TagVersion};
pub use siblings::siblings;
pub use tag_list::{TagList, TaggedVersion, Withdrawn, is_withdrawn};
pub use vacated::{VacatedTag, vacated};
pub use version::{VersionError, any_version, is_revision, version, version_argument};

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A tag suffix, `[a-z][a-z0-9]*([._-][a-z0-9]+)*`, but not `latest`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Variant(String);

impl Variant {
    /// The suffix without the dash before it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The reason why a text is not a variant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VariantError {
    /// It is `latest`, which is the name of another tag.
    #[error("a variant cannot be called `latest`")]
    Latest,
    /// It is the name of a tag for build caches.
    #[error("a variant cannot be called `{0}`: the build cache has this tag")]
    BuildCache(String),
    /// It violates the grammar of variants.
    #[error(
        "`{0}` is not a variant (lower-case letters and digits, starting with a letter, parts joined by `.`, `_` or `-`)"
    )]
    Grammar(String),
}

impl FromStr for Variant {
    type Err = VariantError;

    fn from_str(text: &str) -> Result<Self, VariantError> {
        if text == "latest" {
            return Err(VariantError::Latest);
        }
        if is_build_cache(text) {
            return Err(VariantError::BuildCache(text.to_owned()));
        }
        let part = |p: &str| {
            !p.is_empty()
                && p.bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        let starts = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        if starts && text.split(['.', '_', '-']).all(part) {
            Ok(Self(text.to_owned()))
        } else {
            Err(VariantError::Grammar(text.to_owned()))
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Variant {
    type Error = VariantError;

    fn try_from(text: String) -> Result<Self, VariantError> {
        text.parse()
    }
}

impl From<Variant> for String {
    fn from(variant: Variant) -> Self {
        variant.0
    }
}

/// Rule for moving `latest` or the tag with the variant's name.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Latest {
    /// It moves if no stable version is higher.
    #[default]
    Auto,
    /// It moves with every stable version.
    Always,
    /// golden does not create or move it.
    Never,
}

/// A kind of tag in the fan-out.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The version tag, such as `1.2.3`; always part of the fan-out.
    Full,
    /// A tag such as `1.2`.
    Minor,
    /// A tag such as `1`.
    Major,
    /// `latest`, or the name of the variant.
    Latest,
}

/// Rule for new content of a version that is already published.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Rebuild {
    /// golden refuses it.
    #[default]
    Refuse,
    /// golden publishes it as `1.2.3_r1`, `1.2.3_r2`, … if only the base or the packages changed,
    /// and refuses it otherwise.
    Base,
    /// golden publishes it as `1.2.3_r1`, `1.2.3_r2`, …
    Revise,
}

/// The table `[tags]` of an image, with defaults applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagRules {
    /// Rule for moving `latest`.
    pub latest: Latest,
    /// If true, 0.x versions get the tag `0`.
    pub zero_major: bool,
    /// The kinds of tags to publish, always including `Full`.
    pub fan_out: BTreeSet<Level>,
    /// If true, the digest of a version tag never changes.
    pub immutable: bool,
    /// Additional moving tags, without the variant suffix.
    pub extra: Vec<String>,
    /// Rule for new content of a published version.
    pub rebuild: Rebuild,
    /// Versions that golden does not publish and that no moving tag points to.
    pub withdrawn: Vec<Withdrawn>,
}

impl Default for TagRules {
    fn default() -> Self {
        Self {
            latest: Latest::Auto,
            zero_major: false,
            fan_out: BTreeSet::from([Level::Full, Level::Minor, Level::Major, Level::Latest]),
            immutable: true,
            extra: Vec::new(),
            rebuild: Rebuild::Refuse,
            withdrawn: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_has_lowercase_parts() {
        for good in ["alpine", "alpine3.20", "slim-bookworm", "a_b.c-d", "x86"] {
            let variant: Variant = good.parse().unwrap();
            assert_eq!(String::from(variant), good);
        }
        for bad in [
            "", "latest", "3alpine", "Alpine", "alPine", "a--b", "a-", "-a", "a b", ".", "a..b",
            "ä",
        ] {
            assert!(bad.parse::<Variant>().is_err(), "{bad}");
        }
    }
}
