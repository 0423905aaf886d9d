//! Finds the moving tags among the tags of a repository.

use std::collections::BTreeSet;

use super::{TagList, siblings};
use crate::reference::Tag;

/// The tags in `all` that move from version to version: `M`, `M.m`, `latest` or the bare variant of
/// a version in `all`. A tag with another name, such as `build-17`, is not one of them.
#[must_use]
pub fn moving(all: &[Tag]) -> BTreeSet<Tag> {
    let siblings = siblings(all);
    let variants = TagList::new(all, None, &[]).variants();
    let lists = variants.iter().map(Some).chain([None]);
    let versions: BTreeSet<Tag> = lists
        .flat_map(|variant| TagList::new(all, variant, &[]).versions().to_vec())
        .map(|tagged| tagged.tag)
        .collect();
    let moves = |tag: &&Tag| siblings.contains(*tag) && !versions.contains(*tag);
    all.iter().filter(moves).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_tags_belong_to_a_version() {
        for (tags, expected) in [
            ("1.2.3 1.2 1 latest", "1 1.2 latest"),
            ("0.2.0 0.2 0", "0 0.2"),
            ("1.2.3 build-17 edge 2", ""),
            ("build-17 latest", ""),
            ("1.2.3 1.2.3-alpine alpine", "alpine"),
            ("1.2.3-rc.1 latest", ""),
            ("v1.2.3 1.2.4_r1 1.2.4 1.2", "1.2"),
        ] {
            let tags: Vec<Tag> = tags.split(' ').map(|tag| tag.parse().unwrap()).collect();
            let found = moving(&tags);
            let found: Vec<&str> = found.iter().map(Tag::as_str).collect();
            assert_eq!(found.join(" "), expected);
        }
    }
}
