//! Infers from the tags of a repository to which version a tag should point.

use super::{TagList, TagRules, TaggedVersion, Variant, fan_out};
use crate::reference::Tag;

/// The version that a tag belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagOwner {
    /// The version, with its version tag.
    pub held: TaggedVersion,
    /// The variant of the version.
    pub variant: Option<Variant>,
}

/// The highest version in `list` whose fan-out under `rules` contains `tag`. `None` for a tag that
/// belongs to no version, such as a channel.
#[must_use]
pub fn owner(tag: &Tag, list: &[Tag], rules: &TagRules) -> Option<TagOwner> {
    let rules = TagRules {
        zero_major: true,
        extra: Vec::new(),
        ..rules.clone()
    };
    let variants = TagList::new(list, None, &[]).variants();
    // Try variants first: the suffix of a tag is more likely a variant than a pre-release.
    variants.iter().map(Some).chain([None]).find_map(|variant| {
        let existing = TagList::new(list, variant, &rules.withdrawn);
        let claims = |held: &&TaggedVersion| {
            let out = fan_out(&held.version, variant, &rules);
            out.is_ok_and(|out| out.tags.iter().any(|planned| planned.tag == *tag))
        };
        let held = existing.versions().iter().rev().find(claims)?.clone();
        Some(TagOwner {
            held,
            variant: variant.cloned(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tags::Withdrawn;

    #[test]
    fn a_tag_belongs_to_the_highest_version_that_claims_it() {
        let all = "1.2.3 1.2.4 1.3.0 1.3.0_r1 2.0.0-rc.1 0.4.2 1.2.3-alpine 1.2-alpine 2.0.0-alpine alpine";
        let list: Vec<Tag> = all.split(' ').map(|tag| tag.parse().unwrap()).collect();
        for (tag, expected) in [
            ("1.2", "1.2.4"),
            ("1.2.3", "1.2.3"),
            ("1.3.0", "1.3.0_r1"),
            ("1", "1.3.0_r1"),
            ("latest", "1.3.0_r1"),
            ("0", "0.4.2"),
            ("2.0.0-rc.1", "2.0.0-rc.1"),
            ("1.2-alpine", "1.2.3-alpine"),
            ("alpine", "2.0.0-alpine"),
            ("2.0.0-alpine", "2.0.0-alpine"),
            ("2", ""),
            ("edge", ""),
        ] {
            let found = owner(&tag.parse().unwrap(), &list, &TagRules::default());
            assert_eq!(
                found
                    .map(|owner| owner.held.tag.to_string())
                    .unwrap_or_default(),
                expected,
                "{tag}"
            );
        }
        // An extra tag belongs to the version that it points to, not to the highest one.
        let rules = TagRules {
            extra: vec!["edge".to_owned()],
            ..TagRules::default()
        };
        assert_eq!(owner(&"edge".parse().unwrap(), &list, &rules), None);
        let rules = TagRules {
            withdrawn: vec![Withdrawn::Version("1.3.0".parse().unwrap())],
            ..TagRules::default()
        };
        let found = owner(&"latest".parse().unwrap(), &list, &rules).unwrap();
        assert_eq!(found.held.tag.as_str(), "1.2.4");
    }
}
