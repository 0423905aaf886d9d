//! Selection of images by name or glob, with what they are built on, and what is built on them.

use std::collections::BTreeSet;

use globset::GlobBuilder;

use super::ResolvedImage;
use super::pin::ParentIndex;
use crate::suggest::{closest, nearest};

/// Why nothing could be selected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No image has the name, or fits the glob.
    #[error("no image of this workspace is called `{pattern}`")]
    Unknown {
        /// What was asked for.
        pattern: String,
        /// What may have been meant.
        near: Option<String>,
        /// All names.
        names: Vec<String>,
    },
    /// Not a glob.
    #[error("`{0}` is not a glob")]
    Glob(String),
}

/// How many names are shown of a workspace that has many.
const NEAREST: usize = 3;

impl Error {
    /// What to do next.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Unknown {
                near: Some(near), ..
            } => vec![format!("did you mean `{near}`?")],
            Self::Unknown { names, .. } if names.is_empty() => {
                vec!["this workspace has no images".to_owned()]
            }
            Self::Unknown { names, .. } if names.len() <= NEAREST => {
                vec![format!("this workspace has {}", names.join(", "))]
            }
            Self::Unknown { pattern, names, .. } => {
                let near = nearest(pattern, names.iter().map(String::as_str), NEAREST).join(", ");
                vec![format!(
                    "the nearest are {near}; and {} more: golden graph",
                    names.len() - NEAREST
                )]
            }
            Self::Glob(_) => Vec::new(),
        }
    }
}

/// The positions of the images that one of `patterns` names; all without patterns. A pattern is a name, a name with
/// its version as `display` shows it, or a glob of either.
pub fn named(images: &[ResolvedImage], patterns: &[String]) -> Result<BTreeSet<usize>, Error> {
    if patterns.is_empty() {
        return Ok((0..images.len()).collect());
    }
    let mut selected = BTreeSet::new();
    for pattern in patterns {
        let glob = GlobBuilder::new(pattern)
            .literal_separator(true)
            .build()
            .map_err(|_| Error::Glob(pattern.clone()))?
            .compile_matcher();
        let fits = |image: &ResolvedImage| {
            let (name, display) = (image.name.as_str(), image.display());
            name == pattern || display == *pattern || glob.is_match(name) || glob.is_match(&display)
        };
        let before = selected.len();
        let hits: Vec<usize> = (0..images.len()).filter(|n| fits(&images[*n])).collect();
        if hits.is_empty() && before == selected.len() {
            return Err(unknown(images, pattern));
        }
        selected.extend(hits);
    }
    Ok(selected)
}

fn unknown(images: &[ResolvedImage], pattern: &str) -> Error {
    let names: BTreeSet<&str> = images.iter().map(|image| image.name.as_str()).collect();
    let last = |name: &&str| name.rsplit('/').next() == Some(pattern);
    let near = closest(pattern, names.iter().copied()).or_else(|| names.iter().copied().find(last));
    Error::Unknown {
        pattern: pattern.to_owned(),
        near: near.map(str::to_owned),
        names: names.into_iter().map(str::to_owned).collect(),
    }
}

/// The position of each image's parent.
#[must_use]
pub fn parents(images: &[ResolvedImage]) -> Vec<Option<usize>> {
    let index = ParentIndex::new(images);
    images.iter().map(|image| index.of(image)).collect()
}

/// Adds what the selected images are built on.
pub fn add_ancestors(selected: &mut BTreeSet<usize>, parents: &[Option<usize>]) {
    for start in selected.clone() {
        let mut at = parents[start];
        while let Some(node) = at.filter(|node| selected.insert(*node)) {
            at = parents[node];
        }
    }
}

/// Adds what is built on the selected images. Parents lie before their children.
pub fn add_dependants(selected: &mut BTreeSet<usize>, parents: &[Option<usize>]) {
    for (node, parent) in parents.iter().enumerate() {
        if parent.is_some_and(|parent| selected.contains(&parent)) {
            selected.insert(node);
        }
    }
}
