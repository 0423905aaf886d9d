//! Compares two images.

use super::error::Error;
use super::located::{Finder, LocatedImage};
use crate::inventory::{Difference, Gap, ImageContent};

/// Two compared images.
#[derive(Debug)]
pub struct ComparedImages {
    /// The first image in full.
    pub from: String,
    /// The second image in full.
    pub to: String,
    /// The difference.
    pub difference: Difference,
    /// Each image with a damaged package database, and its gaps.
    pub gaps: Vec<(String, Vec<Gap>)>,
}

/// Compares two images. Fails if one of them, or one of its layers, cannot be read.
pub async fn compare(from: &str, to: &str, finder: &Finder<'_>) -> Result<ComparedImages, Error> {
    let (first, second) = (finder.find(from).await?, finder.find(to).await?);
    let (old, new) = (
        content(&first, finder).await?,
        content(&second, finder).await?,
    );
    let difference = Difference::between(&old, &new);
    let gaps =
        [(from, old), (to, new)].map(|(name, image)| (name.to_owned(), image.inventory.gaps));
    Ok(ComparedImages {
        from: first.reference,
        to: second.reference,
        difference,
        gaps: gaps
            .into_iter()
            .filter(|(_, gaps)| !gaps.is_empty())
            .collect(),
    })
}

async fn content(image: &LocatedImage, finder: &Finder<'_>) -> Result<ImageContent, Error> {
    let files = image.files(finder.settings).await?;
    let layers = image.chosen.manifest.layers.iter();
    Ok(ImageContent {
        config: image.chosen.config.clone(),
        inventory: files.inventory(),
        files,
        size: layers.map(|layer| layer.size).sum(),
    })
}
