//! Deletions and attached artifacts as text.

use super::Out;
use super::text::count;
use crate::publish::attached::Attached;
use crate::publish::delete::Deleted;
use crate::reference::{Repository, Tag};
use crate::tags::TagList;

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
    let tags = tags
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    match (stays, tags.is_empty()) {
        (true, _) => format!("{repository}:{tags} ({kind}); {digest} stays"),
        (false, true) => format!("{repository}@{digest} ({kind})"),
        (false, false) => format!("{repository}@{digest} ({kind}: {tags})"),
    }
}

/// The moving tags among the tags that deletions remove with a digest.
#[must_use]
pub fn moving(deleted: &[Deleted]) -> Vec<String> {
    let with_digest = deleted.iter().filter(|one| !one.untagged);
    let moving = with_digest.flat_map(|one| {
        let all = TagList::new(&one.tags, None, &[]);
        let variants = all.variants();
        let lists = variants
            .iter()
            .map(|variant| TagList::new(&one.tags, Some(variant), &[]));
        let lists: Vec<TagList> = lists.chain([all]).collect();
        let is_version = move |tag: &Tag| {
            let mut versions = lists.iter().flat_map(TagList::versions);
            versions.any(|version| version.tag == *tag)
        };
        one.tags.iter().filter(move |tag| !is_version(tag))
    });
    moving.map(ToString::to_string).collect()
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
    let tags = tags
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
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

/// Shows the deletions. With `dry_run`, they are only planned.
pub fn deletions(out: &Out, deleted: &[Deleted], dry_run: bool) {
    for one in deleted {
        let did = match (dry_run, one.untagged) {
            (true, true) => "would remove",
            (true, false) => "would delete",
            (false, true) => "removed",
            (false, false) => "deleted",
        };
        out.data(&format!("{did} {}\n", deletion(one)));
    }
    let moving = moving(deleted);
    if !dry_run && !moving.is_empty() {
        out.message(&format!(
            "moving tags were deleted too: {}; to point them to an earlier version: golden rollback IMAGE --to VERSION",
            moving.join(", ")
        ));
    }
    if !dry_run && deleted.iter().any(|one| !one.untagged) {
        garbage_collection(out);
    }
}
