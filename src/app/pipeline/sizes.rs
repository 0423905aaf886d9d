//! Compares the sizes of a built image with `[policy.size]`, before any tag moves.

use super::failed::Failed;
use super::run::Run;
use crate::app::readable::ReadableImage;
use crate::app::work::Work;
use crate::config_files::policy::SizePolicy;
use crate::diagnostic::Diagnostics;
use crate::engine::BuiltImage;
use crate::image::Described;
use crate::inventory::LayerOwner;
use crate::oci::packed_size;
use crate::policy::sizes::{LayerSize, PreviousSize};
use crate::policy::{ImageSizes, SizedImage, check_sizes};
use crate::publish;
use crate::reference::Repository;
use crate::tags::{TagList, precedence};

impl Run<'_> {
    /// True if the policy limits the sizes of images.
    pub(super) fn has_size_limits(&self) -> bool {
        self.policy.size != SizePolicy::default()
    }

    /// Checks the sizes of the image of each platform. Fails if one violates the policy.
    pub(super) async fn check_sizes(&self, work: &Work, built: &BuiltImage) -> Result<(), Failed> {
        let display = work.recipe.image.display();
        let assembled = self.exported(work, built, None).await?;
        let previous = self.previous(work).await?;
        let images = ReadableImage::of_assembled(&assembled)?;
        let mut found = Diagnostics::new();
        for image in &images {
            let name = if images.len() > 1 {
                format!("{display} ({})", image.platform)
            } else {
                display.clone()
            };
            let mut sizes = self.sizes(&display, image).await?;
            sizes.previous = previous
                .as_ref()
                .and_then(|(name, described)| size_in(name, described, image));
            found.extend(check_sizes(
                self.policy,
                &SizedImage {
                    name: &name,
                    known_as: &[work.recipe.image.name.to_string()],
                    now: self.now,
                    sizes: &sizes,
                },
            ));
        }
        self.settle(&display, found)
    }

    /// The sizes of an image.
    async fn sizes(&self, display: &str, image: &ReadableImage) -> Result<ImageSizes, Failed> {
        let _turn = self.files.turn().await;
        let layers = image.layers.iter().cloned();
        let layers: Vec<_> = layers.map(|layer| (layer, LayerOwner::Base)).collect();
        let files = self.files.merged(&layers, display, self.events).await?;
        let layers = files.layers().iter().map(|layer| LayerSize {
            unpacked: layer.size,
            largest: layer.largest.clone(),
        });
        Ok(ImageSizes {
            packed: image.packed(),
            layers: layers.collect(),
            largest: files.largest(),
            previous: None,
        })
    }

    /// Reads the newest earlier version from the first registry that has one. Returns it with its
    /// reference; `None` if the policy does not limit the growth, or if this run does not publish.
    async fn previous(&self, work: &Work) -> Result<Option<(String, Described)>, Failed> {
        if self.policy.size.growth.is_none() || !self.options.push {
            return Ok(None);
        }
        for destination in &work.planned.destinations {
            let found = self.previous_in(work, &destination.repository).await;
            if let Some(found) = found.map_err(publish::Error::from)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    async fn previous_in(
        &self,
        work: &Work,
        repository: &Repository,
    ) -> Result<Option<(String, Described)>, crate::registry::Error> {
        let image = &work.recipe.image;
        let repo = self.registries.repo(repository);
        let tags = repo.tags().await?;
        let list = TagList::new(&tags, image.variant.as_ref(), &image.tags.withdrawn);
        let version = &work.planned.publish;
        let earlier = list.versions().iter().rev();
        let mut earlier = earlier.filter(|held| precedence(&held.version, version).is_le());
        let Some(held) = earlier.next() else {
            return Ok(None);
        };
        let Some(raw) = repo.manifest(&held.tag).await? else {
            return Ok(None);
        };
        let described = Described::load(&repo, raw).await?;
        Ok(Some((repository.tag(&held.tag).to_string(), described)))
    }
}

/// The size of the image for the same platform.
fn size_in(name: &str, described: &Described, image: &ReadableImage) -> Option<PreviousSize> {
    let mut images = described.images.iter();
    let same = images.find(|one| one.platform == image.platform)?;
    Some(PreviousSize {
        reference: name.to_owned(),
        packed: packed_size(&same.manifest.layers),
    })
}
