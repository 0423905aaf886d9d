//! The images that the files of other programs name: the `FROM` lines of Dockerfiles, and the keys
//! `image` of Compose files and Kubernetes manifests. Each one has its position, so that a report can
//! show it and a correction changes nothing else.

mod dockerfile;
mod edit;
mod yaml;

use std::fmt;
use std::ops::Range;

use crate::reference::Reference;

pub use edit::{Replacement, replaced};

/// The format of a file that names images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConsumerFormat {
    /// A Dockerfile.
    Dockerfile,
    /// A Compose file.
    Compose,
    /// Kubernetes manifests.
    Kubernetes,
}

impl fmt::Display for ConsumerFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dockerfile => "Dockerfile",
            Self::Compose => "Compose file",
            Self::Kubernetes => "Kubernetes manifest",
        })
    }
}

/// An image that a file names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageUse {
    /// The position of the name, in bytes.
    pub position: Range<usize>,
    /// The image; or the reason why the file alone does not determine it.
    pub image: Result<Reference, String>,
    /// The text with the tag and the digest, which a correction can change; `None` if several variables
    /// determine them.
    pub editable: Option<EditableText>,
}

/// A text that a correction can change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditableText {
    /// Its position, in bytes.
    pub position: Range<usize>,
    /// Its meaning.
    pub part: EditablePart,
}

/// The part of a reference that a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EditablePart {
    /// The whole reference.
    Reference,
    /// The tag, and a digest if there is one.
    Tag,
}

/// The images that a file names. Build stages and `scratch` are omitted. Fails if the file cannot be
/// parsed.
pub fn images(format: ConsumerFormat, text: &str) -> Result<Vec<ImageUse>, String> {
    match format {
        ConsumerFormat::Dockerfile => dockerfile::images(text),
        ConsumerFormat::Compose => Ok(yaml::compose(text)),
        ConsumerFormat::Kubernetes => Ok(yaml::kubernetes(text)),
    }
}

/// Parses the name of an image.
fn parsed(name: &str) -> Result<Reference, String> {
    name.parse()
        .map_err(|error: crate::reference::Error| error.to_string())
}

#[cfg(test)]
mod tests;
