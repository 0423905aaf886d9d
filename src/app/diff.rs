//! Compares two images.

use super::error::Error;
use super::located::{Finder, LocatedImage};
use super::readable::ReadableImage;
use super::settings::Settings;
use crate::assemble::Assembled;
use crate::event::Events;
use crate::image::{Blobs, FileReader, LayerError};
use crate::inventory::{
    BaseLabels, Gap, ImageContent, ImageDifference, PackageUpdate, layer_owners,
};
use crate::oci::ImageConfig;
use crate::platform::Platform;
use crate::registry::Registries;
use crate::workspace::lock::Lock;

/// Two compared images.
#[derive(Debug)]
pub struct ComparedImages {
    /// The first image in full.
    pub from: String,
    /// The second image in full.
    pub to: String,
    /// The difference from the first image to the second one.
    pub difference: ImageDifference,
    /// The difference of their bases, if it was requested and they differ.
    pub bases: Option<Box<Self>>,
    /// Each image with a damaged package database, and its gaps.
    pub gaps: Vec<(String, Vec<Gap>)>,
}

impl ComparedImages {
    /// Compares the content of two images.
    #[must_use]
    pub fn new((from, old): (String, ImageContent), (to, new): (String, ImageContent)) -> Self {
        let difference = ImageDifference::between(&old, &new);
        let gaps = [(from.clone(), old), (to.clone(), new)];
        let gaps = gaps.map(|(name, image)| (name, image.inventory.gaps));
        Self {
            from,
            to,
            difference,
            bases: None,
            gaps: gaps
                .into_iter()
                .filter(|(_, gaps)| !gaps.is_empty())
                .collect(),
        }
    }

    /// Marks the packages whose new version is one of these security updates, also in the difference
    /// of the bases.
    pub fn mark_updates(&mut self, updates: &[PackageUpdate]) {
        self.difference.mark_security(|name, version| {
            let is_same = |one: &PackageUpdate| one.name == name && one.to == version;
            updates.iter().any(is_same)
        });
        if let Some(bases) = &mut self.bases {
            bases.mark_updates(updates);
            self.difference.base.diff = Some(Box::new(bases.difference.clone()));
        }
    }

    /// Marks the packages whose new version golden.lock records as a security update.
    pub(super) fn mark_security(&mut self, lock: &Lock) {
        self.difference
            .mark_security(|name, version| lock.is_security(name, version));
    }
}

/// Compares two images; with `bases`, also the images that they are built on. golden.lock knows which
/// versions of packages are security updates. Fails if one of the images, or one of its layers, cannot
/// be read.
pub async fn compare(
    from: &str,
    to: &str,
    bases: bool,
    lock: &Lock,
    finder: &Finder<'_>,
) -> Result<ComparedImages, Error> {
    let mut compared = compare_two(from, to, finder).await?;
    compared.mark_security(lock);
    let base = &compared.difference.base;
    if let (true, Some(from), Some(to)) = (bases && base.from != base.to, &base.from, &base.to) {
        let mut below = compare_two(&pinned(from)?, &pinned(to)?, finder).await?;
        below.mark_security(lock);
        compared.difference.base.diff = Some(Box::new(below.difference.clone()));
        compared.bases = Some(Box::new(below));
    }
    Ok(compared)
}

async fn compare_two(from: &str, to: &str, finder: &Finder<'_>) -> Result<ComparedImages, Error> {
    let (first, second) = (finder.find(from).await?, finder.find(to).await?);
    let (old, new) = (
        content(&first, finder.settings).await?,
        content(&second, finder.settings).await?,
    );
    let mut compared = ComparedImages::new(
        (first.reference.clone(), old),
        (second.reference.clone(), new),
    );
    for (name, _) in &mut compared.gaps {
        let written = if *name == first.reference { from } else { to };
        written.clone_into(name);
    }
    Ok(compared)
}

/// The reference of a base by digest. Fails if the labels do not name both.
fn pinned(base: &BaseLabels) -> Result<String, Error> {
    let both = base.name.as_deref().zip(base.digest.as_deref());
    let (name, digest) = both.ok_or_else(|| {
        Error::failed("the labels of an image do not name its base with a digest")
    })?;
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    Ok(format!("{name}@{digest}"))
}

/// Reads the content of an image.
pub(super) async fn content(
    image: &LocatedImage,
    settings: &Settings,
) -> Result<ImageContent, Error> {
    let files = image.files(settings).await?;
    let layers = image.chosen.manifest.layers.iter();
    Ok(ImageContent {
        config: image.chosen.config.clone(),
        inventory: files.inventory(),
        files,
        size: layers.map(|layer| layer.size).sum(),
    })
}

/// Reads the content of an assembled image for a platform, or for its first platform.
pub(super) async fn assembled(
    assembled: &Assembled,
    platform: Option<&Platform>,
    name: &str,
    registries: &Registries,
    settings: &Settings,
) -> Result<ImageContent, Error> {
    let mut images = assembled.images.iter();
    let image = images
        .find(|image| Some(&image.platform) == platform)
        .or(assembled.images.first())
        .ok_or_else(|| Error::failed(format!("{name} has no image")))?;
    let image = ReadableImage {
        platform: image.platform.clone(),
        config: ImageConfig::parse(&image.config).map_err(Error::failed)?,
        raw_config: image.config.clone(),
        layers: image.layers.clone(),
    };
    let reader = FileReader::new(Blobs::new(registries.clone()), settings.user_cache());
    Ok(readable(image, name, &reader, &settings.events).await?)
}

/// Reads the content of an image whose layers can be read.
pub(super) async fn readable(
    image: ReadableImage,
    name: &str,
    reader: &FileReader,
    events: &Events,
) -> Result<ImageContent, LayerError> {
    let owners = layer_owners(&image.config, image.layers.len());
    let layers: Vec<_> = image.layers.into_iter().zip(owners).collect();
    let files = reader.merged(&layers, name, events).await?;
    Ok(ImageContent {
        inventory: files.inventory(),
        files,
        size: layers.iter().map(|(layer, _)| layer.descriptor.size).sum(),
        config: image.config,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{ImageFiles, Inventory, Package, PackageKind};

    fn content(version: &str) -> ImageContent {
        let package = Package::new(PackageKind::Deb, "openssl".to_owned(), version.to_owned());
        ImageContent {
            config: ImageConfig::parse(b"{}").unwrap(),
            files: ImageFiles::default(),
            inventory: Inventory {
                packages: vec![package],
                ..Inventory::default()
            },
            size: 0,
        }
    }

    fn compared() -> ComparedImages {
        let [old, new] = ["1", "2"].map(|version| (version.to_owned(), content(version)));
        ComparedImages::new(old, new)
    }

    #[test]
    fn security_updates_are_marked_in_the_images_and_in_their_bases() {
        let mut images = compared();
        let bases = compared();
        images.difference.base.diff = Some(Box::new(bases.difference.clone()));
        images.bases = Some(Box::new(bases));
        images.mark_updates(&[PackageUpdate {
            name: "openssl".to_owned(),
            kind: PackageKind::Deb,
            from: "1".to_owned(),
            to: "2".to_owned(),
            security: true,
        }]);
        let is_marked = |difference: &ImageDifference| difference.packages.changed[0].security;
        let shown = images.difference.base.diff.as_ref().unwrap();
        assert!(is_marked(&images.difference) && is_marked(shown));
        assert!(is_marked(&images.bases.unwrap().difference));
    }
}
