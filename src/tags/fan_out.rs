//! Computes the fan-out: the tags of a version, from the most specific to the least specific.

use semver::{BuildMetadata, Version};
use serde::{Deserialize, Serialize};

use super::{Latest, Level, TagList, TagRules, Variant};
use crate::reference::{Error as ReferenceError, Tag};

/// The role of a tag in the fan-out of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TagRole {
    /// The version itself, immutable: `1.2.3`, `1.2.3-rc.1`, `1.2.3_build.5`.
    Full,
    /// `1.2.3_r0`: preserves the first content of a version when `1.2.3` moves for the first time.
    Original,
    /// `1.2.3` if the version tag is `1.2.3_build.5`: a moving tag.
    Patch,
    /// `1.2`: the highest version with these two numbers.
    Minor,
    /// `1`: the highest version with this number.
    Major,
    /// `latest`, or the name of the variant: the highest version.
    Latest,
    /// A tag in the `extra` list of the spec, such as a channel.
    Extra,
}

impl TagRole {
    /// True if a tag with this role of the version `ours` is also a tag of the version `other`.
    #[must_use]
    pub fn covers(self, ours: &Version, other: &Version) -> bool {
        match self {
            Self::Full | Self::Original | Self::Patch => other.cmp_precedence(ours).is_eq(),
            Self::Minor => other.major == ours.major && other.minor == ours.minor,
            Self::Major => other.major == ours.major,
            Self::Latest => true,
            Self::Extra => false,
        }
    }
}

/// A tag of the fan-out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedTag {
    /// The tag, with the suffix of the variant.
    pub tag: Tag,
    /// The role of the tag.
    pub role: TagRole,
}

/// The tags of a version in the order of the push, with the version and the variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FanOut {
    /// The version that the tags belong to.
    pub version: Version,
    /// The variant, the suffix of every tag.
    pub variant: Option<Variant>,
    /// The tags; the first one is the version tag.
    pub tags: Vec<PlannedTag>,
}

impl FanOut {
    /// The version tag, which never changes its content.
    #[must_use]
    pub fn full(&self) -> &Tag {
        &self.tags[0].tag
    }
}

/// The reason why a version has no valid tags.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// A tag of the version violates the grammar of tags, usually by its length.
    #[error("version {version} cannot be published: {error}")]
    Grammar {
        /// The version in the spec.
        version: Version,
        /// The violation, with the tag.
        error: ReferenceError,
    },
}

impl FanOut {
    /// The tag that preserves the first content of a version, if this publication moves `1.2.3` for
    /// the first time: `all` contains `1.2.3`, but no revision and no other build of it.
    #[must_use]
    pub fn original(&self, all: &TagList) -> Option<OriginalTag> {
        let plain = self
            .tags
            .iter()
            .find(|planned| planned.role == TagRole::Patch)?;
        let has_moved = all.versions().iter().any(|held| {
            held.version.cmp_precedence(&self.version).is_eq() && !held.version.build.is_empty()
        });
        if has_moved || !all.has(&plain.tag) {
            return None;
        }
        let Version {
            major,
            minor,
            patch,
            ..
        } = self.version;
        let name = suffixed(
            &format!("{major}.{minor}.{patch}_r0"),
            self.variant.as_ref(),
        );
        // It is no longer than the tag of another revision, so it is valid.
        let tag = name.parse().ok()?;
        Some(OriginalTag {
            tag,
            of: plain.tag.clone(),
        })
    }
}

/// The tag that keeps the first content of a version reachable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginalTag {
    /// The tag to create: `1.2.3_r0`.
    pub tag: Tag,
    /// The tag that points to the content until now: `1.2.3`.
    pub of: Tag,
}

/// The tags of `version`, from the most specific to the least specific, then the extra tags. Fails
/// if one of them is not a valid tag.
pub fn fan_out(
    version: &Version,
    variant: Option<&Variant>,
    rules: &TagRules,
) -> Result<FanOut, TagError> {
    let Version {
        major,
        minor,
        patch,
        pre,
        build,
    } = version;
    let stable = pre.is_empty();
    let includes = |level| stable && rules.fan_out.contains(&level);
    let core = if stable {
        format!("{major}.{minor}.{patch}")
    } else {
        format!("{major}.{minor}.{patch}-{pre}")
    };
    let mut names = Vec::new();
    if build.is_empty() {
        names.push((core, TagRole::Full));
    } else {
        names.push((format!("{core}_{build}"), TagRole::Full));
        if stable {
            names.push((core, TagRole::Patch));
        }
    }
    if includes(Level::Minor) {
        names.push((format!("{major}.{minor}"), TagRole::Minor));
    }
    if includes(Level::Major) && (*major > 0 || rules.zero_major) {
        names.push((major.to_string(), TagRole::Major));
    }
    let mut names: Vec<(String, TagRole)> = names
        .into_iter()
        .map(|(name, role)| (suffixed(&name, variant), role))
        .collect();
    if includes(Level::Latest) && rules.latest != Latest::Never {
        names.push((
            variant.map_or("latest", Variant::as_str).to_owned(),
            TagRole::Latest,
        ));
    }
    names.extend(
        rules
            .extra
            .iter()
            .map(|extra| (suffixed(extra, variant), TagRole::Extra)),
    );
    let mut tags: Vec<PlannedTag> = Vec::with_capacity(names.len());
    for (name, role) in names {
        let tag: Tag = name.parse().map_err(|error| TagError::Grammar {
            version: version.clone(),
            error,
        })?;
        if tags.iter().all(|planned| planned.tag != tag) {
            tags.push(PlannedTag { tag, role });
        }
    }
    Ok(FanOut {
        version: version.clone(),
        variant: variant.cloned(),
        tags,
    })
}

/// Revision `number` of a version: `1.2.3+r1` for `1.2.3`.
#[must_use]
pub fn revision(version: &Version, number: u64) -> Version {
    // A text of letters and digits is always valid build metadata.
    let build = BuildMetadata::new(&format!("r{number}")).unwrap_or(BuildMetadata::EMPTY);
    Version {
        build,
        ..version.clone()
    }
}

/// A tag with the suffix of a variant.
pub(crate) fn suffixed(name: &str, variant: Option<&Variant>) -> String {
    variant.map_or_else(|| name.to_owned(), |variant| format!("{name}-{variant}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn tags(version: &str, variant: &str, rules: &TagRules) -> String {
        let variant = (!variant.is_empty()).then(|| variant.parse().unwrap());
        let out = fan_out(&version.parse().unwrap(), variant.as_ref(), rules).unwrap();
        out.tags
            .iter()
            .map(|planned| planned.tag.as_str())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn the_fan_out_depends_on_version_and_variant() {
        let rules = TagRules::default();
        for (version, variant, expected) in [
            ("1.2.3", "", "1.2.3 1.2 1 latest"),
            ("1.2.3", "alpine", "1.2.3-alpine 1.2-alpine 1-alpine alpine"),
            ("0.4.2", "", "0.4.2 0.4 latest"),
            ("0.0.1", "slim", "0.0.1-slim 0.0-slim slim"),
            ("1.2.3-rc.1", "", "1.2.3-rc.1"),
            ("1.2.3-rc.1", "alpine", "1.2.3-rc.1-alpine"),
            ("1.2.3+build.5", "", "1.2.3_build.5 1.2.3 1.2 1 latest"),
            (
                "1.2.3+build.5",
                "alpine",
                "1.2.3_build.5-alpine 1.2.3-alpine 1.2-alpine 1-alpine alpine",
            ),
            ("1.2.3-rc.1+build.5", "", "1.2.3-rc.1_build.5"),
            (
                "1.2.3+r1",
                "alpine",
                "1.2.3_r1-alpine 1.2.3-alpine 1.2-alpine 1-alpine alpine",
            ),
        ] {
            assert_eq!(
                tags(version, variant, &rules),
                expected,
                "{version} {variant}"
            );
        }
    }

    #[test]
    fn the_rules_of_a_spec_select_tags() {
        let zero = TagRules {
            zero_major: true,
            ..TagRules::default()
        };
        assert_eq!(tags("0.4.2", "", &zero), "0.4.2 0.4 0 latest");
        let never = TagRules {
            latest: Latest::Never,
            ..TagRules::default()
        };
        assert_eq!(tags("1.2.3", "", &never), "1.2.3 1.2 1");
        assert_eq!(
            tags("1.2.3", "alpine", &never),
            "1.2.3-alpine 1.2-alpine 1-alpine"
        );
        let some = TagRules {
            fan_out: BTreeSet::from([Level::Major]),
            ..TagRules::default()
        };
        assert_eq!(tags("1.2.3", "", &some), "1.2.3 1");
        assert_eq!(tags("1.2.3+b", "", &some), "1.2.3_b 1.2.3 1");
        let extra = TagRules {
            extra: vec!["edge".into(), "abc1234".into(), "edge".into()],
            ..TagRules::default()
        };
        assert_eq!(
            tags("1.2.3", "alpine", &extra),
            "1.2.3-alpine 1.2-alpine 1-alpine alpine edge-alpine abc1234-alpine"
        );
        assert_eq!(tags("1.2.3-rc.1", "", &extra), "1.2.3-rc.1 edge abc1234");
    }

    #[test]
    fn the_first_content_of_a_version_is_preserved_once() {
        for (version, variant, existing, expected) in [
            ("1.2.3+r1", "", "1.2.3 1.2 1 latest", "1.2.3_r0"),
            (
                "1.2.3+r1",
                "alpine",
                "1.2.3 1.2.3-alpine",
                "1.2.3_r0-alpine",
            ),
            ("1.2.3+build.5", "", "1.2.3", "1.2.3_r0"),
            ("1.2.3+r1", "", "", ""),
            ("1.2.3+r1", "alpine", "1.2.3 1.2.3_r0", ""),
            ("1.2.3+r1", "", "1.2.3 1.2.3_r0", ""),
            ("1.2.3+r2", "", "1.2.3 1.2.3_r1", ""),
            ("1.2.3+b", "", "1.2.3 1.2.3_a", ""),
            ("1.2.3", "", "1.2.3", ""),
        ] {
            let variant: Option<Variant> = (!variant.is_empty()).then(|| variant.parse().unwrap());
            let tags: Vec<Tag> = existing
                .split_whitespace()
                .map(|tag| tag.parse().unwrap())
                .collect();
            let out = fan_out(
                &version.parse().unwrap(),
                variant.as_ref(),
                &TagRules::default(),
            )
            .unwrap();
            let original = out.original(&TagList::new(&tags, variant.as_ref(), &[]));
            let found = original
                .map(|original| original.tag.to_string())
                .unwrap_or_default();
            assert_eq!(found, expected, "{version} {variant:?} after {existing}");
        }
    }

    #[test]
    fn a_revision_replaces_the_build_metadata() {
        for (version, number, expected) in [
            ("1.2.3", 1, "1.2.3+r1"),
            ("1.2.3+build.5", 2, "1.2.3+r2"),
            ("1.2.3-rc.1+r1", 12, "1.2.3-rc.1+r12"),
        ] {
            let revised = revision(&version.parse().unwrap(), number);
            assert_eq!(revised.to_string(), expected);
        }
    }

    #[test]
    fn the_error_names_a_tag_that_is_too_long() {
        let version: Version = format!("1.2.3-{}", "a".repeat(123)).parse().unwrap();
        let message = fan_out(&version, None, &TagRules::default())
            .unwrap_err()
            .to_string();
        assert!(
            message.contains(&format!("`{version}` is not a tag")),
            "{message}"
        );
        let fits: Version = format!("1.2.3-{}", "a".repeat(122)).parse().unwrap();
        assert!(fan_out(&fits, None, &TagRules::default()).is_ok());
    }
}
