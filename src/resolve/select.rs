//! Selects images by name or glob, and adds their ancestors and dependants.

use std::collections::BTreeSet;

use super::ResolvedImage;
use super::parsed::{OrderedImage, ParsedImage};
use super::pin::ParentIndex;
use crate::glob::Glob;
use crate::suggest::{closest, nearest};

/// The reason why a pattern selects no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No image has this name or matches this glob.
    #[error("no image of this workspace is called `{pattern}`")]
    Unknown {
        /// The pattern as the user wrote it.
        pattern: String,
        /// The most similar name, if one is similar.
        similar: Option<String>,
        /// All image names of the workspace.
        names: Vec<String>,
    },
    /// The pattern is not a valid glob.
    #[error("`{0}` is not a valid glob")]
    Glob(String),
}

/// The number of names to suggest if the workspace has many.
const NEAREST: usize = 3;

impl Error {
    /// Returns hints for the user: similar names, or the names that exist.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Unknown {
                similar: Some(similar),
                ..
            } => vec![format!("did you mean `{similar}`?")],
            Self::Unknown { names, .. } if names.is_empty() => {
                vec!["this workspace has no images".to_owned()]
            }
            Self::Unknown { names, .. } if names.len() <= NEAREST => {
                vec![format!("this workspace has {}", names.join(", "))]
            }
            Self::Unknown { pattern, names, .. } => {
                let similar =
                    nearest(pattern, names.iter().map(String::as_str), NEAREST).join(", ");
                vec![format!(
                    "the nearest are {similar}; and {} more: golden graph",
                    names.len() - NEAREST
                )]
            }
            Self::Glob(_) => Vec::new(),
        }
    }
}

/// The positions of the images that match one of `patterns`; all images if `patterns` is empty. A
/// pattern is a name, a name with its version as `display` shows it, or a glob of either. Fails if
/// a pattern is invalid or matches nothing.
pub fn named(images: &[OrderedImage], patterns: &[String]) -> Result<BTreeSet<usize>, Error> {
    if patterns.is_empty() {
        return Ok((0..images.len()).collect());
    }
    let mut selected = BTreeSet::new();
    for pattern in patterns {
        let glob = Glob::new(pattern).map_err(|_| Error::Glob(pattern.clone()))?;
        let is_match = |image: &ParsedImage| {
            let (name, display) = (image.name.as_str(), image.display());
            name == pattern || display == *pattern || glob.is_match(name) || glob.is_match(&display)
        };
        let before = selected.len();
        let hits: Vec<usize> = (0..images.len())
            .filter(|n| is_match(&images[*n].parsed))
            .collect();
        if hits.is_empty() && before == selected.len() {
            return Err(unknown(images, pattern));
        }
        selected.extend(hits);
    }
    Ok(selected)
}

fn unknown(images: &[OrderedImage], pattern: &str) -> Error {
    let names: BTreeSet<&str> = images
        .iter()
        .map(|image| image.parsed.name.as_str())
        .collect();
    let last = |name: &&str| name.rsplit('/').next() == Some(pattern);
    let similar =
        closest(pattern, names.iter().copied()).or_else(|| names.iter().copied().find(last));
    Error::Unknown {
        pattern: pattern.to_owned(),
        similar: similar.map(str::to_owned),
        names: names.into_iter().map(str::to_owned).collect(),
    }
}

/// The position of each image's parent.
#[must_use]
pub fn parents<'a>(
    images: impl IntoIterator<Item = &'a ResolvedImage> + Clone,
) -> Vec<Option<usize>> {
    let index = ParentIndex::new(images.clone());
    images.into_iter().map(|image| index.of(image)).collect()
}

/// Adds the ancestors of the selected images.
pub fn add_ancestors(selected: &mut BTreeSet<usize>, images: &[OrderedImage]) {
    for start in selected.clone() {
        let mut at = images[start].parent;
        while let Some(node) = at.filter(|node| selected.insert(*node)) {
            at = images[node].parent;
        }
    }
}

/// Adds the images that are built on the selected ones.
pub fn add_dependants(selected: &mut BTreeSet<usize>, images: &[OrderedImage]) {
    for (node, image) in images.iter().enumerate() {
        if image
            .parent
            .is_some_and(|parent| selected.contains(&parent))
        {
            selected.insert(node);
        }
    }
}
