//! Finds the moving tags that a withdrawn version leaves although they are not tags of the
//! published version.

use std::collections::BTreeSet;

use super::{FanOut, Latest, TagList, TagRole, TagRules, TaggedVersion, fan_out};

/// A withdrawn version, and the moving tags that belonged to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vacated {
    /// The tags of the withdrawn version: its version tag first, then the moving tags that are not
    /// in the fan-out of the published version.
    pub out: FanOut,
    /// The version that each moving tag belongs to now, in the order of these tags.
    pub holders: Vec<TaggedVersion>,
}

/// The withdrawn versions that are the highest of a moving tag which `own`, the fan-out of the
/// published version, does not contain. `all` has all versions of the repository, and `existing`
/// those that are not withdrawn. A tag without another version is not returned: it stays.
#[must_use]
pub fn vacated(own: &FanOut, all: &TagList, existing: &TagList, rules: &TagRules) -> Vec<Vacated> {
    let offered: BTreeSet<_> = existing
        .versions()
        .iter()
        .map(|held| &held.version)
        .collect();
    let withdrawn = all
        .versions()
        .iter()
        .filter(|held| held.version.pre.is_empty() && !offered.contains(&held.version));
    withdrawn
        .filter_map(|held| {
            let mut out = fan_out(&held.version, own.variant.as_ref(), rules).ok()?;
            // The repository may spell the version tag `v1.2.3`.
            out.tags.first_mut()?.tag = held.tag.clone();
            let mut holders = Vec::new();
            out.tags.retain(|planned| {
                let role = planned.role;
                if role == TagRole::Full {
                    return true;
                }
                let is_moving = match role {
                    TagRole::Patch | TagRole::Minor | TagRole::Major => true,
                    TagRole::Latest => rules.latest == Latest::Auto,
                    TagRole::Full | TagRole::Original | TagRole::Extra => false,
                };
                let is_own = own.tags.iter().any(|own| own.tag == planned.tag);
                if !is_moving || is_own || !all.has(&planned.tag) {
                    return false;
                }
                let covers = |other: &_| role.covers(&held.version, other);
                let holder = existing.highest(covers);
                let holder = holder.filter(|holder| holder.tag != planned.tag);
                let is_highest = all.highest(covers) == Some(held);
                holders.extend(holder.filter(|_| is_highest).cloned());
                holder.is_some() && is_highest
            });
            (!holders.is_empty()).then_some(Vacated { out, holders })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::Tag;
    use crate::tags::{Variant, Withdrawn};

    /// The tags that withdrawn versions leave, as `TAG: WITHDRAWN → HOLDER`.
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
        let lines = vacated.iter().flat_map(|one| {
            let moving = one.out.tags.iter().skip(1).zip(&one.holders);
            moving.map(|(planned, holder)| {
                format!("{}: {} → {}", planned.tag, one.out.full(), holder.tag)
            })
        });
        lines.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn a_withdrawn_version_leaves_the_tags_of_other_lines() {
        let tags = "1.2.9 1.2.10 1.2 1.3.0 1.3 1 2.0.0 2.0 2 latest edge";
        for (own, withdrawn, expected) in [
            ("2.0.0", "", ""),
            ("2.0.0", "1.2.9", ""),
            ("2.0.0", "1.2.10", "1.2: 1.2.10 → 1.2.9"),
            ("1.2.11", "1.2.10", ""),
            ("2.0.0", "1.3.0", "1: 1.3.0 → 1.2.10"),
            (
                "2.0.1",
                "1.2.10 1.3.0",
                "1.2: 1.2.10 → 1.2.9, 1: 1.3.0 → 1.2.9",
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
