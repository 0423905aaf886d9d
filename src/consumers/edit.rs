//! Corrects the tag and the digest of an image where a file names it.

use super::{EditablePart, EditableText};
use crate::reference::{Digest, Tag};

/// The new tag and digest of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// The old text.
    pub old: EditableText,
    /// The tag to write; `None` for a reference without a tag.
    pub tag: Option<Tag>,
    /// The digest to write; `None` for a reference without a digest.
    pub digest: Option<Digest>,
}

/// The text of a file with the corrections. The name of each image stays as it is written.
#[must_use]
pub fn replaced(text: &str, mut replacements: Vec<Replacement>) -> String {
    replacements.sort_by_key(|one| one.old.position.start);
    let mut new = String::with_capacity(text.len() + 80 * replacements.len());
    let mut end = 0;
    for Replacement { old, tag, digest } in replacements {
        let EditableText { position, part } = old;
        let between = text.get(end..position.start);
        let (Some(between), Some(old)) = (between, text.get(position.clone())) else {
            continue;
        };
        new.push_str(between);
        new.push_str(&written(old, part, tag.as_ref(), digest.as_ref()));
        end = position.end;
    }
    new + &text[end..]
}

/// The new text of a reference, or of a tag with an optional digest.
fn written(old: &str, part: EditablePart, tag: Option<&Tag>, digest: Option<&Digest>) -> String {
    let without_digest = old.split('@').next().unwrap_or(old);
    let mut new = match part {
        EditablePart::Tag => tag.map(Tag::to_string).unwrap_or_default(),
        EditablePart::Reference => {
            let last = without_digest.rfind('/').map_or(0, |slash| slash + 1);
            let end = without_digest[last..].find(':');
            let name = &without_digest[..end.map_or(without_digest.len(), |at| last + at)];
            let tag = tag.map(|tag| format!(":{tag}"));
            format!("{name}{}", tag.unwrap_or_default())
        }
    };
    if let Some(digest) = digest {
        new.extend(["@", digest.as_str()]);
    }
    new
}
