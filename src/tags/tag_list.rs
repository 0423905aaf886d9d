//! The tags that a repository has already, read as versions of one variant (7-rules 21, 22, 27).

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;

use super::order::precedence;
use super::{Variant, is_revision};
use crate::reference::Tag;

/// A version that a repository holds, with the tag that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaggedVersion {
    /// The version.
    pub version: Version,
    /// Its tag, as the repository has it.
    pub tag: Tag,
}

/// The tags of a repository, seen from one variant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TagList {
    tags: BTreeSet<Tag>,
    held: Vec<TaggedVersion>,
}

impl TagList {
    /// Reads `tags` as versions of `variant`; versions in `withdrawn` do not count. The order of `tags` means nothing.
    pub fn new<'a>(
        tags: impl IntoIterator<Item = &'a Tag>,
        variant: Option<&Variant>,
        withdrawn: &[Version],
    ) -> Self {
        let tags: BTreeSet<Tag> = tags.into_iter().cloned().collect();
        let mut held: BTreeMap<Version, Tag> = BTreeMap::new();
        for tag in &tags {
            let Some(version) = parse(tag, variant, &tags) else {
                continue;
            };
            if is_withdrawn(&version, withdrawn) {
                continue;
            }
            // `2.0.0` speaks for the version before `v2.0.0` does; digits sort before letters.
            held.entry(version).or_insert_with(|| tag.clone());
        }
        let mut held: Vec<TaggedVersion> = held
            .into_iter()
            .map(|(version, tag)| TaggedVersion { version, tag })
            .collect();
        held.sort_by(|a, b| precedence(&a.version, &b.version));
        Self { tags, held }
    }

    /// Whether the repository has this tag.
    #[must_use]
    pub fn has(&self, tag: &Tag) -> bool {
        self.tags.contains(tag)
    }

    /// Every version of the variant, from the lowest to the highest, pre-releases included.
    #[must_use]
    pub fn versions(&self) -> &[TaggedVersion] {
        &self.held
    }

    /// The highest stable version for which `scope` holds.
    pub fn highest(&self, scope: impl Fn(&Version) -> bool) -> Option<&TaggedVersion> {
        self.held
            .iter()
            .rev()
            .find(|held| held.version.pre.is_empty() && scope(&held.version))
    }

    /// The number of the highest revision of `version`; 0 when there is none.
    #[must_use]
    pub fn revisions(&self, version: &Version) -> u64 {
        let of = |held: &&TaggedVersion| {
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
        self.held
            .iter()
            .filter(of)
            .filter_map(number)
            .max()
            .unwrap_or(0)
    }

    /// The variants that the repository has, as far as its tags tell: beside `1.2.3-NAME` stands a bare `NAME`, or
    /// [what proves it](Self::sure_variants).
    #[must_use]
    pub fn variants(&self) -> BTreeSet<Variant> {
        self.variants_beside(|_, name| vec![name.to_owned()])
            .into_iter()
            .chain(self.sure_variants())
            .collect()
    }

    /// The variants that nothing else can be: beside `1.2.3-NAME` stands `1.2-NAME` or `1-NAME`. A pre-release may have
    /// an extra tag of its own name, and none of these.
    #[must_use]
    pub fn sure_variants(&self) -> BTreeSet<Variant> {
        self.variants_beside(|Version { major, minor, .. }, name| {
            vec![format!("{major}.{minor}-{name}"), format!("{major}-{name}")]
        })
    }

    /// The names of `VERSION-NAME` where one of what `beside` gives is a tag, too.
    fn variants_beside(&self, beside: impl Fn(&Version, &str) -> Vec<String>) -> BTreeSet<Variant> {
        let texts: BTreeSet<&str> = self.tags.iter().map(Tag::as_str).collect();
        let mut variants = BTreeSet::new();
        for text in &texts {
            for (at, _) in text.match_indices('-') {
                let (Some(version), name) = (read(&text[..at]), &text[at + 1..]) else {
                    continue;
                };
                if beside(&version, name)
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

/// A withdrawn `1.2.3` takes `1.2.3_x` with it; one with build metadata means only that.
#[must_use]
pub fn is_withdrawn(version: &Version, withdrawn: &[Version]) -> bool {
    withdrawn.iter().any(|gone| {
        gone == version || (gone.build.is_empty() && gone.cmp_precedence(version).is_eq())
    })
}

/// The version that a tag stands for, when it stands for one of this variant.
fn parse(tag: &Tag, variant: Option<&Variant>, all: &BTreeSet<Tag>) -> Option<Version> {
    let text = tag.as_str();
    let suffix = variant
        .map(|variant| format!("-{variant}"))
        .unwrap_or_default();
    let rest = text.strip_suffix(suffix.as_str())?;
    let version = read(rest)?;
    (!belongs_to_another(rest, &suffix, all)).then_some(version)
}

/// `M.m.p[-pre][_build]`, with or without a `v`.
fn read(text: &str) -> Option<Version> {
    Version::parse(&text.strip_prefix('v').unwrap_or(text).replacen('_', "+", 1)).ok()
}

/// Whether the dash in `1.2.3_x-y` starts a variant of its own. Build metadata may hold a dash too; but golden's own
/// revisions have none, and a variant's `1.2.3_x-y` always stands beside its `1.2.3-y`.
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

    fn held(tags: &str, variant: &str, withdrawn: &[&str]) -> String {
        let tags: Vec<Tag> = tags.split(' ').map(|tag| tag.parse().unwrap()).collect();
        let variant = (!variant.is_empty()).then(|| variant.parse().unwrap());
        let withdrawn: Vec<Version> = withdrawn.iter().map(|text| text.parse().unwrap()).collect();
        let existing = TagList::new(&tags, variant.as_ref(), &withdrawn);
        existing
            .held
            .iter()
            .map(|held| held.version.to_string())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn a_tag_is_a_version_of_one_variant() {
        assert_eq!(held("1 1.2 2 2.1 latest edge 1.2.3", "", &[]), "1.2.3");
        assert_eq!(held("v2.0.0 V3.0.0 vv4.0.0", "", &[]), "2.0.0");
        assert_eq!(
            held(
                "1.2.3-alpine 1.2.3-alpine3.20 alpine 1-alpine",
                "alpine",
                &[]
            ),
            "1.2.3"
        );
        assert_eq!(held("1.2.3-alpine3.20", "", &[]), "1.2.3-alpine3.20");
        assert_eq!(
            held("1.2.3_build.5 1.2.3_r2 1.2.3_r10", "", &[]),
            "1.2.3+build.5 1.2.3+r2 1.2.3+r10"
        );
        assert_eq!(held("01.2.3 1.2.3.4 1.2.3_ 1.2.3-", "", &[]), "");
    }

    #[test]
    fn a_variants_metadata_is_not_ours() {
        assert_eq!(held("1.2.3_r1-alpine", "", &[]), "");
        assert_eq!(held("1.2.3_r1-alpine", "alpine", &[]), "1.2.3+r1");
        assert_eq!(held("1.2.3_r1-slim-alpine", "alpine", &[]), "");
        assert_eq!(held("1.2.3_git-abc", "", &[]), "1.2.3+git-abc");
        assert_eq!(held("1.2.3_git-abc 1.2.3-abc", "", &[]), "1.2.3-abc");
    }

    #[test]
    fn what_is_withdrawn_does_not_count() {
        assert_eq!(
            held("1.2.3 1.2.3_r1 1.2.3_b 1.2.4", "", &["1.2.3"]),
            "1.2.4"
        );
        assert_eq!(held("1.2.3 1.2.3_r1", "", &["1.2.3+r1"]), "1.2.3");
    }

    #[test]
    fn variants_are_told_from_the_tags() {
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
