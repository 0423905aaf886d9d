//! Finds the moving tags that withdrawn versions leave although they are not tags of the published
//! version.

use std::collections::{BTreeMap, BTreeSet};

use super::{FanOut, Latest, TagList, TagRole, TagRules, TaggedVersion, fan_out};
use crate::reference::Tag;

/// A moving tag of other versions than the published one, some of which are withdrawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VacatedTag {
    /// The tag.
    pub tag: Tag,
    /// Its role for these versions.
    pub role: TagRole,
    /// The withdrawn versions that it may still point to, from the highest to the lowest.
    pub withdrawn: Vec<TaggedVersion>,
    /// The version that it belongs to.
    pub holder: TaggedVersion,
}

/// The moving tags of withdrawn versions that `own`, the fan-out of the published version, does not
/// contain, the most specific first. `all` has all versions of the repository, and `existing` those that are not withdrawn.
/// A tag without another version is not returned: it stays.
#[must_use]
pub fn vacated(
    own: &FanOut,
    all: &TagList,
    existing: &TagList,
    rules: &TagRules,
) -> Vec<VacatedTag> {
    let offered: BTreeSet<_> = existing
        .versions()
        .iter()
        .map(|held| &held.version)
        .collect();
    let own_tags: BTreeSet<&Tag> = own.tags.iter().map(|planned| &planned.tag).collect();
    let mut found: BTreeMap<Tag, Option<VacatedTag>> = BTreeMap::new();
    let stable = all.versions().iter().rev();
    for held in stable.filter(|held| held.version.pre.is_empty()) {
        if offered.contains(&held.version) {
            continue;
        }
        // A version without valid tags has no moving tags.
        let Ok(out) = fan_out(&held.version, own.variant.as_ref(), rules) else {
            continue;
        };
        for planned in out.tags {
            let (tag, role) = (planned.tag, planned.role);
            if !is_moving(role, rules) || own_tags.contains(&tag) || !all.has(&tag) {
                continue;
            }
            let holder = || existing.highest(|other| role.covers(&held.version, other));
            let left = found.entry(tag.clone()).or_insert_with(|| {
                let holder = holder().filter(|holder| holder.tag != tag)?.clone();
                let withdrawn = Vec::new();
                Some(VacatedTag {
                    tag,
                    role,
                    withdrawn,
                    holder,
                })
            });
            if let Some(left) = left {
                left.withdrawn.push(held.clone());
            }
        }
    }
    let mut left: Vec<VacatedTag> = found.into_values().flatten().collect();
    left.sort_by_key(|left| left.role);
    left
}

/// True if the tag rules move the tags of a role to the highest version.
fn is_moving(role: TagRole, rules: &TagRules) -> bool {
    match role {
        TagRole::Patch | TagRole::Minor | TagRole::Major => true,
        TagRole::Latest => rules.latest == Latest::Auto,
        TagRole::Full | TagRole::Original | TagRole::Extra => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::Tag;
    use crate::tags::{Variant, Withdrawn};

    /// The tags that withdrawn versions leave, as `TAG: WITHDRAWN… → HOLDER`.
    fn found(own: &str, variant: &str, tags: &str, withdrawn: &str, latest: Latest) -> String {
        let tags: Vec<Tag> = tags.split(' ').map(|tag| tag.parse().unwrap()).collect();
        let variant: Option<Variant> = (!variant.is_empty()).then(|| variant.parse().unwrap());
        let withdrawn = withdrawn.split(' ').filter(|text| !text.is_empty());
        let rules = TagRules {
            withdrawn: withdrawn
                .map(|text| Withdrawn::Version(text.parse().unwrap()))
                .collect(),
            extra: vec!["edge".to_owned()],
            latest,
            ..TagRules::default()
        };
        let own = fan_out(&own.parse().unwrap(), variant.as_ref(), &rules).unwrap();
        let all = TagList::new(&tags, variant.as_ref(), &[]);
        let existing = TagList::new(&tags, variant.as_ref(), &rules.withdrawn);
        let vacated = vacated(&own, &all, &existing, &rules);
        let lines = vacated.iter().map(|left| {
            let withdrawn = left.withdrawn.iter().map(|held| held.tag.as_str());
            let withdrawn: Vec<&str> = withdrawn.collect();
            format!(
                "{}: {} → {}",
                left.tag,
                withdrawn.join(" "),
                left.holder.tag
            )
        });
        lines.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn a_withdrawn_version_leaves_the_tags_of_other_lines() {
        let tags = "1.2.9 1.2.10 1.2 1.3.0 1.3 1 2.0.0 2.0 2 latest edge";
        for (own, withdrawn, expected) in [
            ("2.0.0", "", ""),
            ("2.0.0", "1.2.9", "1.2: 1.2.9 → 1.2.10, 1: 1.2.9 → 1.3.0"),
            ("2.0.0", "1.2.10", "1.2: 1.2.10 → 1.2.9, 1: 1.2.10 → 1.3.0"),
            ("1.2.11", "1.2.10", ""),
            ("2.0.0", "1.3.0", "1: 1.3.0 → 1.2.10"),
            (
                "2.0.1",
                "1.2.10 1.3.0",
                "1.2: 1.2.10 → 1.2.9, 1: 1.3.0 1.2.10 → 1.2.9",
            ),
            ("2.0.0", "1.2.9 1.2.10 1.3.0", ""),
            ("3.0.0-rc.1", "2.0.0", "latest: 2.0.0 → 1.3.0"),
        ] {
            let found = found(own, "", tags, withdrawn, Latest::Auto);
            assert_eq!(found, expected, "{own} {withdrawn}");
        }
    }

    #[test]
    fn only_moving_tags_of_the_variant_are_left() {
        for (own, variant, tags, withdrawn, latest, expected) in [
            (
                "2.0.0",
                "slim",
                "1.2.3-slim 1.2.4-slim 1.2-slim 1.2.5 1.2",
                "1.2.4",
                Latest::Auto,
                "1.2-slim: 1.2.4-slim → 1.2.3-slim",
            ),
            (
                "2.0.0",
                "",
                "1.2.3 v1.2.4 1.2",
                "1.2.4",
                Latest::Auto,
                "1.2: v1.2.4 → 1.2.3",
            ),
            (
                "2.0.0",
                "",
                "1.2.3 1.2.3_r0 1.2.3_r1 1.2.3_r2 1.2",
                "1.2.3+r2",
                Latest::Auto,
                "1.2.3: 1.2.3_r2 → 1.2.3_r1, 1.2: 1.2.3_r2 → 1.2.3_r1",
            ),
            (
                "3.0.0-rc.1",
                "",
                "1.0.0 2.0.0 latest",
                "2.0.0",
                Latest::Always,
                "",
            ),
        ] {
            let found = found(own, variant, tags, withdrawn, latest);
            assert_eq!(found, expected, "{own} {tags}");
        }
    }
}
