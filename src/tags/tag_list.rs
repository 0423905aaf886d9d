//! The existing tags of a repository, read as versions of one variant.

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;

use super::order::precedence;
use super::{Requirement, Variant, is_build_cache, is_revision};
use crate::reference::Tag;

/// Versions that no moving tag points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Withdrawn {
    /// One version with its revisions, or one revision.
    Version(Version),
    /// Every version that satisfies a requirement.
    Matching(Requirement),
}

impl Withdrawn {
    /// The version, if this is a single one.
    #[must_use]
    pub const fn version(&self) -> Option<&Version> {
        match self {
            Self::Version(version) => Some(version),
            Self::Matching(_) => None,
        }
    }
}

impl From<Version> for Withdrawn {
    fn from(version: Version) -> Self {
        Self::Version(version)
    }
}

/// A version in a repository, with its tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaggedVersion {
    /// The version that the tag names.
    pub version: Version,
    /// The tag in the repository, such as `v1.2.3` or `1.2.3`.
    pub tag: Tag,
}

/// The tags of a repository, and the versions of one variant among them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TagList {
    tags: BTreeSet<Tag>,
    versions: Vec<TaggedVersion>,
}

impl TagList {
    /// Reads `tags` as versions of `variant`, without the versions in `withdrawn`. The order of
    /// `tags` does not matter; build caches are ignored.
    pub fn new<'a>(
        tags: impl IntoIterator<Item = &'a Tag>,
        variant: Option<&Variant>,
        withdrawn: &[Withdrawn],
    ) -> Self {
        let tags = tags.into_iter().filter(|tag| !is_build_cache(tag.as_str()));
        let tags: BTreeSet<Tag> = tags.cloned().collect();
        let mut tag_of: BTreeMap<Version, Tag> = BTreeMap::new();
        for tag in &tags {
            let Some(version) = parse(tag, variant, &tags) else {
                continue;
            };
            if is_withdrawn(&version, withdrawn) {
                continue;
            }
            // `2.0.0` comes before `v2.0.0`, since digits sort before letters, and is used.
            tag_of.entry(version).or_insert_with(|| tag.clone());
        }
        let mut versions: Vec<TaggedVersion> = tag_of
            .into_iter()
            .map(|(version, tag)| TaggedVersion { version, tag })
            .collect();
        versions.sort_by(|a, b| precedence(&a.version, &b.version));
        Self { tags, versions }
    }

    /// True if the repository has this tag.
    #[must_use]
    pub fn has(&self, tag: &Tag) -> bool {
        self.tags.contains(tag)
    }

    /// All versions of the variant, including pre-releases, from the lowest to the highest.
    #[must_use]
    pub fn versions(&self) -> &[TaggedVersion] {
        &self.versions
    }

    /// The highest stable version for which `scope` returns true.
    pub fn highest(&self, scope: impl Fn(&Version) -> bool) -> Option<&TaggedVersion> {
        self.versions
            .iter()
            .rev()
            .find(|held| held.version.pre.is_empty() && scope(&held.version))
    }

    /// The number of the highest revision of `version`; 0 if it has none.
    #[must_use]
    pub fn revisions(&self, version: &Version) -> u64 {
        let is_revision_of_version = |held: &&TaggedVersion| {
            held.version.cmp_precedence(version).is_eq() && is_revision(&held.version.build)
        };
        let number = |held: &TaggedVersion| {
            held.version
                .build
                .as_str()
                .trim_start_matches('r')
                .parse()
                .ok()
        };
        self.versions
            .iter()
            .filter(is_revision_of_version)
            .filter_map(number)
            .max()
            .unwrap_or(0)
    }

    /// The probable variants of the repository: `NAME` for each tag `1.2.3-NAME` if the tag `NAME`
    /// exists, and all [certain variants](Self::sure_variants).
    #[must_use]
    pub fn variants(&self) -> BTreeSet<Variant> {
        self.variants_with(|_, name| vec![name.to_owned()])
            .into_iter()
            .chain(self.sure_variants())
            .collect()
    }

    /// The certain variants of the repository: `NAME` for each tag `1.2.3-NAME` if the tag
    /// `1.2-NAME` or `1-NAME` exists. A pre-release has no such tag, but an extra tag can have the
    /// name of a pre-release.
    #[must_use]
    pub fn sure_variants(&self) -> BTreeSet<Variant> {
        self.variants_with(|Version { major, minor, .. }, name| {
            vec![format!("{major}.{minor}-{name}"), format!("{major}-{name}")]
        })
    }

    /// `NAME` for each tag `VERSION-NAME` if one of the tags that `companions` returns also exists.
    fn variants_with(
        &self,
        companions: impl Fn(&Version, &str) -> Vec<String>,
    ) -> BTreeSet<Variant> {
        let texts: BTreeSet<&str> = self.tags.iter().map(Tag::as_str).collect();
        let mut variants = BTreeSet::new();
        for text in &texts {
            for (at, _) in text.match_indices('-') {
                let (Some(version), name) = (read(&text[..at]), &text[at + 1..]) else {
                    continue;
                };
                if companions(&version, name)
                    .iter()
                    .any(|tag| texts.contains(tag.as_str()))
                {
                    variants.extend(name.parse());
                }
            }
        }
        variants
    }
}

/// True if `version` is withdrawn. An entry `1.2.3` also withdraws `1.2.3+x`; an entry with build
/// metadata withdraws only that version.
#[must_use]
pub fn is_withdrawn(version: &Version, withdrawn: &[Withdrawn]) -> bool {
    withdrawn.iter().any(|entry| match entry {
        Withdrawn::Version(entry) => {
            entry == version || (entry.build.is_empty() && entry.cmp_precedence(version).is_eq())
        }
        Withdrawn::Matching(requirement) => requirement.matches(version),
    })
}

/// The version that a tag names, if it is a version of this variant.
fn parse(tag: &Tag, variant: Option<&Variant>, all: &BTreeSet<Tag>) -> Option<Version> {
    let text = tag.as_str();
    let suffix = variant
        .map(|variant| format!("-{variant}"))
        .unwrap_or_default();
    let rest = text.strip_suffix(suffix.as_str())?;
    let version = read(rest)?;
    (!belongs_to_another(rest, &suffix, all)).then_some(version)
}

/// Parses `M.m.p[-pre][_build]`, with or without a leading `v`.
fn read(text: &str) -> Option<Version> {
    Version::parse(&text.strip_prefix('v').unwrap_or(text).replacen('_', "+", 1)).ok()
}

/// True if the dash in `1.2.3_x-y` starts the name of another variant. Build metadata may contain a
/// dash too. But revisions contain none, and a variant that has `1.2.3_x-y` also has `1.2.3-y`.
fn belongs_to_another(rest: &str, suffix: &str, all: &BTreeSet<Tag>) -> bool {
    let Some((core, build)) = rest.split_once('_') else {
        return false;
    };
    build.match_indices('-').any(|(at, _)| {
        let (metadata, variant) = build.split_at(at);
        let revision = metadata
            .strip_prefix('r')
            .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        let sibling = format!("{core}{variant}{suffix}").parse::<Tag>();
        revision || sibling.is_ok_and(|sibling| all.contains(&sibling))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(tags: &str, variant: &str, withdrawn: &[&str]) -> String {
        let tags: Vec<Tag> = tags.split(' ').map(|tag| tag.parse().unwrap()).collect();
        let variant = (!variant.is_empty()).then(|| variant.parse().unwrap());
        let withdrawn: Vec<Withdrawn> = withdrawn
            .iter()
            .map(|text| Withdrawn::Version(text.parse().unwrap()))
            .collect();
        let existing = TagList::new(&tags, variant.as_ref(), &withdrawn);
        existing
            .versions
            .iter()
            .map(|held| held.version.to_string())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn a_tag_is_a_version_of_one_variant() {
        assert_eq!(versions("1 1.2 2 2.1 latest edge 1.2.3", "", &[]), "1.2.3");
        assert_eq!(versions("v2.0.0 V3.0.0 vv4.0.0", "", &[]), "2.0.0");
        assert_eq!(
            versions(
                "1.2.3-alpine 1.2.3-alpine3.20 alpine 1-alpine",
                "alpine",
                &[]
            ),
            "1.2.3"
        );
        assert_eq!(versions("1.2.3-alpine3.20", "", &[]), "1.2.3-alpine3.20");
        assert_eq!(
            versions("1.2.3_build.5 1.2.3_r2 1.2.3_r10", "", &[]),
            "1.2.3+build.5 1.2.3+r2 1.2.3+r10"
        );
        assert_eq!(versions("01.2.3 1.2.3.4 1.2.3_ 1.2.3-", "", &[]), "");
    }

    #[test]
    fn only_revisions_of_the_version_are_counted() {
        for (version, tags, expected) in [
            ("1.2.3", "1.2.3", 0),
            ("1.2.3", "1.2.3 1.2.3_r1 1.2.3_r10 1.2.3_r2", 10),
            ("1.2.3", "1.2.3 1.2.4_r7 1.2.3_build.9 1.2.3_r1", 1),
            ("1.2.3", "1.2.3_9 1.2.3_rc9", 0),
            ("1.2.4", "1.2.3_r1", 0),
        ] {
            let tags: Vec<Tag> = tags.split(' ').map(|tag| tag.parse().unwrap()).collect();
            let list = TagList::new(&tags, None, &[]);
            assert_eq!(
                list.revisions(&version.parse().unwrap()),
                expected,
                "{version} {tags:?}"
            );
        }
    }

    #[test]
    fn build_metadata_of_another_variant_is_ignored() {
        assert_eq!(versions("1.2.3_r1-alpine", "", &[]), "");
        assert_eq!(versions("1.2.3_r1-alpine", "alpine", &[]), "1.2.3+r1");
        assert_eq!(versions("1.2.3_r1-slim-alpine", "alpine", &[]), "");
        assert_eq!(versions("1.2.3_git-abc", "", &[]), "1.2.3+git-abc");
        assert_eq!(versions("1.2.3_rx-abc", "", &[]), "1.2.3+rx-abc");
        assert_eq!(versions("1.2.3_r-abc", "", &[]), "1.2.3+r-abc");
        assert_eq!(versions("1.2.3_git-abc 1.2.3-abc", "", &[]), "1.2.3-abc");
    }

    #[test]
    fn withdrawn_versions_are_ignored() {
        assert_eq!(
            versions("1.2.3 1.2.3_r1 1.2.3_b 1.2.4", "", &["1.2.3"]),
            "1.2.4"
        );
        assert_eq!(versions("1.2.3 1.2.3_r1", "", &["1.2.3+r1"]), "1.2.3");
    }

    #[test]
    fn variants_are_inferred_from_the_tags() {
        let all = |tags: &str| {
            let tags: Vec<Tag> = tags.split(' ').map(|tag| tag.parse().unwrap()).collect();
            let found = TagList::new(&tags, None, &[]).variants();
            found
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(
            all("1.2.3-alpine alpine 1.2.3-slim slimmer 1.2.3 1.2 1 latest"),
            "alpine"
        );
        assert_eq!(
            all("1.2.3-alpine3.20 1.2-alpine3.20 1.2.3_r1-slim-x 1-slim-x"),
            "alpine3.20 slim-x"
        );
        assert_eq!(all("1.2.3-rc.1 1.2.3-rc.2 1.2 edge"), "");
        let tags = ["1.2.3-beta", "beta", "1.2.3-slim", "1-slim"].map(|tag| tag.parse().unwrap());
        let sure = TagList::new(&tags, None, &[]).sure_variants();
        assert_eq!(
            sure.into_iter()
                .map(|variant| variant.to_string())
                .collect::<Vec<_>>(),
            ["slim"]
        );
    }
}
