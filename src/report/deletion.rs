//! Deletions and attached artifacts as text.

use super::Out;
use super::text::count;
use crate::publish::attached::Attached;
use crate::publish::delete::Deleted;
use crate::reference::Repository;

/// Shows that the registry frees the space of deleted content later.
pub fn garbage_collection(out: &Out) {
    out.message("the registry frees the space at its next garbage collection (stop the registry during the collection, or restart it afterwards)");
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

/// Describes a deletion in one line.
#[must_use]
pub fn deletion(one: &Deleted) -> String {
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
