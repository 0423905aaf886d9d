//! Computes the tags that may exist in addition to a list of tags.

use std::collections::BTreeSet;

use super::{TagList, TagRules, fan_out};
use crate::reference::Tag;

/// The tags of the fan-outs of all versions and variants in `tags`. If one of them exists in the
/// registry but not in the list, the list is incomplete.
#[must_use]
pub fn siblings(tags: &[Tag]) -> BTreeSet<Tag> {
    let rules = TagRules {
        zero_major: true,
        ..TagRules::default()
    };
    let variants = TagList::new(tags, None, &[]).variants();
    let mut siblings = BTreeSet::new();
    for variant in variants.iter().map(Some).chain([None]) {
        for held in TagList::new(tags, variant, &[]).versions() {
            let Ok(out) = fan_out(&held.version, variant, &rules) else {
                continue;
            };
            siblings.extend(out.tags.into_iter().map(|planned| planned.tag));
        }
    }
    siblings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siblings_are_the_tags_of_the_fan_outs() {
        for (tags, expected) in [
            ("1.2.3", "1 1.2 1.2.3 latest"),
            ("0.4.2", "0 0.4 0.4.2 latest"),
            ("1.2.3-rc.1", "1.2.3-rc.1"),
            ("1.2.3_r1", "1 1.2 1.2.3 1.2.3_r1 latest"),
            (
                "1.2.3-alpine 1-alpine",
                "1-alpine 1.2-alpine 1.2.3-alpine alpine",
            ),
            ("edge 12", ""),
        ] {
            let tags: Vec<Tag> = tags.split(' ').map(|tag| tag.parse().unwrap()).collect();
            let found = siblings(&tags)
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" ");
            assert_eq!(found, expected);
        }
    }
}
