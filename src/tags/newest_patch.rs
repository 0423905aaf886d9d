//! The newest patch of a tag of another publisher, such as `3.12.4-slim`.

use crate::reference::Tag;

/// The parts of a tag that begins with a version of at least three numbers.
#[derive(PartialEq, Eq)]
struct TagParts<'t> {
    /// The text up to the last number of the version: `3.12.`.
    line: &'t str,
    /// The last number.
    patch: u64,
    /// The text after it: `-slim`.
    suffix: &'t str,
}

impl<'t> TagParts<'t> {
    fn of(tag: &'t Tag) -> Option<Self> {
        let text = tag.as_str();
        let start = usize::from(text.starts_with('v'));
        let end = text[start..].find(|c: char| !c.is_ascii_digit() && c != '.');
        let end = end.map_or(text.len(), |at| start + at);
        let (version, suffix) = text.split_at(end);
        let (line, patch) = version.split_at(version.rfind('.')? + 1);
        let is_complete = version[start..].split('.').all(|number| !number.is_empty())
            && line.matches('.').count() >= 2
            && (suffix.is_empty() || suffix.starts_with('-'));
        let patch = patch.parse().ok()?;
        is_complete.then_some(Self {
            line,
            patch,
            suffix,
        })
    }
}

/// True if a tag has three numbers or more, so that a newer patch of it may exist.
#[must_use]
pub fn has_patch(tag: &Tag) -> bool {
    TagParts::of(tag).is_some()
}

/// The tag with the highest patch among `tags`, if it is higher than that of `tag`. All other parts
/// of the tag must be the same. `None` also if `tag` has fewer than three numbers, because such a
/// tag moves.
#[must_use]
pub fn newest_patch<'t>(tag: &Tag, tags: &'t [Tag]) -> Option<&'t Tag> {
    let own = TagParts::of(tag)?;
    let newer = tags.iter().filter_map(|tag| {
        let other = TagParts::of(tag)?;
        let is_same = other.line == own.line && other.suffix == own.suffix;
        (is_same && other.patch > own.patch).then_some((other.patch, tag))
    });
    newer.max_by_key(|(patch, _)| *patch).map(|(_, tag)| tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_number_may_differ() {
        let tags: Vec<Tag> = [
            "1.2.3",
            "1.2.10",
            "1.2.9",
            "1.3.0",
            "v1.2.11",
            "1.2.12-slim",
            "1.2.13_r1",
            "1.2",
            "8.5.1.3",
            "latest",
            "1.2.14-rc.1",
            "1.2.3-slim",
            "1.2.13x",
            "1..9",
            "1.3",
        ]
        .iter()
        .map(|tag| tag.parse().unwrap())
        .collect();
        for (tag, newest) in [
            ("1.2.3", Some("1.2.10")),
            ("1.2.10", None),
            ("1.2.0-slim", Some("1.2.12-slim")),
            ("v1.2.0", Some("v1.2.11")),
            ("8.5.1.2", Some("8.5.1.3")),
            ("8.5.0.2", None),
            ("1.2", None),
            ("12", None),
            ("latest", None),
            ("1..2", None),
        ] {
            let tag: Tag = tag.parse().unwrap();
            let found = newest_patch(&tag, &tags).map(Tag::as_str);
            assert_eq!(found, newest, "{tag}");
        }
    }
}
