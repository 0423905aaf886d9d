//! An image that is not built because a base is unavailable.

use crate::observe;
use crate::resolve::ResolvedImage;

/// An image that is not built, and the reason.
#[derive(Debug)]
pub struct UnreadyImage {
    /// The image.
    pub image: ResolvedImage,
    /// The reason.
    pub why: UnreadyReason,
}

/// The reason why an image is not built.
#[derive(Debug)]
pub enum UnreadyReason {
    /// Its base is unavailable.
    Base(observe::Error),
    /// Its base image in the workspace is not ready either. Both are display names.
    Parent {
        /// The base image.
        parent: String,
        /// The image whose own base is unavailable.
        root: String,
    },
}

/// The reason why an image is skipped: its parent, or the base of its parent, is unavailable.
#[must_use]
pub fn skipped(parent: &str, root: &str) -> String {
    if parent == root {
        format!("its base {parent} failed")
    } else {
        format!("its base {parent} was skipped, because {root} failed")
    }
}
