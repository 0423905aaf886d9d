//! The referrers of an image as a tree.

use std::fmt::Write as _;

use super::text::{bytes, one_line};
use crate::app::referrers::{ReferrerNode, ReferrerTree, ReferrersOfImage};

/// The text of `golden referrers`.
#[must_use]
pub fn referrers(tree: &ReferrerTree) -> String {
    let mut text = format!("{}@{}\n", name(&tree.reference), tree.digest);
    text.push_str(&nodes(&tree.referrers, 1));
    text.push_str(&images(&tree.images));
    text
}

/// The reference without its digest, which follows anyway.
fn name(reference: &str) -> &str {
    reference
        .split_once('@')
        .map_or(reference, |(name, _)| name)
}

/// The images of an index, each with its referrers.
pub(super) fn images(images: &[ReferrersOfImage]) -> String {
    let mut text = String::new();
    for image in images {
        let platform = image.platform.as_deref().unwrap_or("image");
        // Writing into a String cannot fail.
        let _ = writeln!(text, "  {} {}", one_line(platform), image.digest);
        text.push_str(&nodes(&image.referrers, 2));
    }
    text
}

/// One line for each referrer, below which are its own referrers.
pub(super) fn nodes(referrers: &[ReferrerNode], depth: usize) -> String {
    let mut text = String::new();
    for node in referrers {
        let kind = node.kind.as_ref().map_or_else(
            || "missing".to_owned(),
            |kind| one_line(&kind.to_string()).into_owned(),
        );
        let artifact = node.artifact_type.as_deref().unwrap_or_default();
        let _ = write!(
            text,
            "{:indent$}{kind} {} {} {}",
            "",
            node.digest,
            bytes(node.content_size),
            one_line(artifact),
            indent = depth * 2,
        );
        if let Some(tag) = &node.tag {
            let _ = write!(text, " (tag {tag})");
        }
        text.push('\n');
        text.push_str(&nodes(&node.referrers, depth + 1));
    }
    text
}
