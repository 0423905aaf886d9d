//! Deletions and attached artifacts as text.

use std::collections::BTreeMap;

use super::Out;
use super::text::count;
use crate::publish::attached::Attached;
use crate::publish::delete::Deleted;
use crate::reference::{Repository, Tag};
use crate::tags::{moving, siblings};

/// Shows that the registry frees the space of deleted content later.
pub fn garbage_collection(out: &Out) {
    out.message("the registry frees the space at its next garbage collection: `golden serve DIR --gc` for one that golden serves; stop another registry during the collection, or restart it afterwards");
}

/// Prints the images of an index and the attached artifacts that are deleted too, one per line.
pub fn deleted_parts(out: &Out, deleted: &[Deleted], word: &str) {
    for one in deleted {
        let Deleted {
            repository,
            children,
            attached,
            ..
        } = one;
        let children = children
            .iter()
            .map(|child| format!("{repository}@{child} (image of the index)"));
        let attached = attached
            .iter()
            .map(|attached| attached_artifact(repository, attached));
        for part in children.chain(attached) {
            out.message(&format!("{word}: {part}"));
        }
    }
}

/// Describes an attached artifact in one line.
#[must_use]
pub fn attached_artifact(repository: &Repository, attached: &Attached) -> String {
    let Attached {
        kind,
        digest,
        tags,
        stays,
        ..
    } = attached;
    let tags = names(tags);
    match (stays, tags.is_empty()) {
        (true, _) => format!("{repository}:{tags} ({kind}); {digest} stays"),
        (false, true) => format!("{repository}@{digest} ({kind})"),
        (false, false) => format!("{repository}@{digest} ({kind}: {tags})"),
    }
}

/// A moving tag that a deletion removes with its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostTag {
    /// The name of the tag.
    pub tag: Tag,
    /// True if the repository keeps a version that the tag can point to.
    pub is_restorable: bool,
}

/// The moving tags among the tags that deletions remove with a digest. `kept` has the tags that
/// remain in each repository.
#[must_use]
pub fn lost(deleted: &[Deleted], kept: &BTreeMap<Repository, Vec<Tag>>) -> Vec<LostTag> {
    let mut gone: BTreeMap<&Repository, Vec<&Tag>> = BTreeMap::new();
    for one in deleted.iter().filter(|one| !one.untagged) {
        gone.entry(&one.repository).or_default().extend(&one.tags);
    }
    let mut lost = Vec::new();
    for (repository, tags) in gone {
        let kept = kept.get(repository).map(Vec::as_slice).unwrap_or_default();
        let all: Vec<Tag> = tags.iter().copied().chain(kept).cloned().collect();
        let (moving, covered) = (moving(&all), siblings(kept));
        lost.extend(
            tags.into_iter()
                .filter(|tag| moving.contains(*tag))
                .map(|tag| LostTag {
                    tag: tag.clone(),
                    is_restorable: covered.contains(tag),
                }),
        );
    }
    lost
}

/// The names of tags in a sentence.
pub fn names<'a>(tags: impl IntoIterator<Item = &'a Tag>) -> String {
    let names: Vec<String> = tags.into_iter().map(ToString::to_string).collect();
    names.join(", ")
}

/// The message about moving tags that were deleted. `None` without such a tag.
fn loss(lost: &[LostTag]) -> Option<String> {
    let restorable: Vec<&Tag> = lost
        .iter()
        .filter(|one| one.is_restorable)
        .map(|one| &one.tag)
        .collect();
    let next = match restorable.len() {
        0 => String::new(),
        all if all == lost.len() => "; to point them to an earlier version: ".to_owned(),
        _ => format!("; to point {} to an earlier version: ", names(restorable)),
    };
    let command = if next.is_empty() {
        ""
    } else {
        "golden rollback IMAGE --to VERSION"
    };
    let all = names(lost.iter().map(|one| &one.tag));
    (!lost.is_empty()).then(|| format!("moving tags were deleted too: {all}{next}{command}"))
}

/// Describes a deletion in one line.
fn deletion(one: &Deleted) -> String {
    let Deleted {
        repository,
        digest,
        tags,
        children,
        attached,
        untagged,
    } = one;
    let tags = names(tags);
    let images = (!children.is_empty())
        .then(|| format!(" with {} of the index", count(children.len(), "image")));
    let more = (!attached.is_empty())
        .then(|| format!(" and {}", count(attached.len(), "attached artifact")));
    let with = images.unwrap_or_default() + &more.unwrap_or_default();
    match (untagged, tags.is_empty()) {
        (true, _) => format!("{repository}:{tags}; {digest} stays"),
        (false, true) => format!("{repository}@{digest}{with}"),
        (false, false) => format!("{repository}@{digest} ({tags}){with}"),
    }
}

/// Shows the planned deletions, before the confirmation.
pub fn planned(out: &Out, planned: &[Deleted]) {
    for one in planned {
        let word = if one.untagged {
            "to remove"
        } else {
            "to delete"
        };
        let line = deletion(one);
        out.message(&format!("{word}: {line}"));
        deleted_parts(out, std::slice::from_ref(one), "to delete");
    }
}

/// Shows the deletions and the moving tags that are lost. With `dry_run`, they are only planned.
pub fn deletions(out: &Out, deleted: &[Deleted], lost: &[LostTag], dry_run: bool) {
    for one in deleted {
        let did = match (dry_run, one.untagged) {
            (true, true) => "would remove",
            (true, false) => "would delete",
            (false, true) => "removed",
            (false, false) => "deleted",
        };
        out.data(&format!("{did} {}\n", deletion(one)));
    }
    if let Some(loss) = loss(lost).filter(|_| !dry_run) {
        out.message(&loss);
    }
    if !dry_run && deleted.iter().any(|one| !one.untagged) {
        garbage_collection(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollback_is_advised_only_for_tags_that_it_can_restore() {
        for (gone, kept, expected) in [
            ("build-17", "0.1.0", None),
            ("0.2.0 0.2", "0.1.0", Some("0.2")),
            (
                "1.1.0 1.1 1",
                "1.0.0",
                Some(
                    "1.1, 1; to point 1 to an earlier version: golden rollback IMAGE --to VERSION",
                ),
            ),
            (
                "1.1.0 1 latest",
                "1.0.0",
                Some(
                    "1, latest; to point them to an earlier version: golden rollback IMAGE --to \
                     VERSION",
                ),
            ),
            ("1.1.0 1.1", "", Some("1.1")),
        ] {
            let tags = |text: &str| -> Vec<Tag> {
                let names = text.split_whitespace();
                names.map(|tag| tag.parse().unwrap()).collect()
            };
            let repository: Repository = "registry.example.com/app".parse().unwrap();
            let deleted = Deleted {
                repository: repository.clone(),
                digest: crate::reference::Digest::of(b""),
                tags: tags(gone),
                children: Vec::new(),
                attached: Vec::new(),
                untagged: false,
            };
            let lost = lost(&[deleted], &BTreeMap::from([(repository, tags(kept))]));
            let expected = expected.map(|text| format!("moving tags were deleted too: {text}"));
            assert_eq!(loss(&lost), expected, "{gone}");
        }
    }
}
