//! The versions and tags of an image in a registry, from a scan of its repositories.

use std::collections::{BTreeMap, BTreeSet};

use super::data::{ImageKey, SiteRepository, SiteTag, SiteVersion};
use crate::app::scan::{Scan, ScannedImage};
use crate::image::{Described, DescribedImage};
use crate::oci::packed_size;
use crate::publish::Receipt;
use crate::reference::{Digest, Repository, Tag};
use crate::tags::{TagList, Variant};

/// The repositories that were read.
#[derive(Debug)]
pub(super) struct ReadRepositories<'a> {
    scan: &'a Scan,
    /// The time of publication of each digest, from the receipts.
    published: BTreeMap<(&'a Repository, &'a Digest), &'a str>,
}

/// The image of an index whose layers a page shows: that of linux/amd64, or else the first one.
pub(super) fn shown(described: &Described) -> Option<&DescribedImage> {
    let mut images = described.images.iter();
    let usual = images.find(|image| image.platform.to_string() == "linux/amd64");
    usual.or(described.images.first())
}

impl<'a> ReadRepositories<'a> {
    pub(super) fn new(scan: &'a Scan, receipts: &'a [Receipt]) -> Self {
        let published = receipts.iter().map(|receipt| {
            let key = (&receipt.repository, &receipt.digest);
            (key, receipt.published.as_str())
        });
        Self {
            scan,
            published: published.collect(),
        }
    }

    /// An image of a repository by its digest.
    pub(super) fn image(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Option<&'a ScannedImage> {
        let mut images = self.images(repository);
        images.find(|image| image.described.raw.digest == *digest)
    }

    fn images(&self, repository: &Repository) -> impl Iterator<Item = &'a ScannedImage> {
        // The images are sorted by repository.
        let images = &self.scan.images;
        let start = images.partition_point(|image| image.repository < *repository);
        let own = images[start..].iter();
        let repository = repository.clone();
        own.take_while(move |image| image.repository == repository)
    }

    /// The problems of a repository, one sentence each.
    pub(super) fn problems(&self, repository: &Repository) -> Vec<String> {
        let problems = self.scan.problems.iter();
        let own = problems.filter(|problem| problem.reference.repository == *repository);
        own.map(|one| format!("{} cannot be read: {}", one.reference, one.problem))
            .collect()
    }

    /// The versions and tags of an image. `variants` are those of all images with its name, and
    /// `channels` the targets of its channels.
    pub(super) fn of(
        &self,
        repository: Repository,
        key: &ImageKey,
        variants: &BTreeSet<Variant>,
        channels: &BTreeMap<Tag, String>,
    ) -> SiteRepository {
        let tags: BTreeMap<&Tag, &ScannedImage> = self
            .images(&repository)
            .flat_map(|image| image.tags.iter().map(move |tag| (tag, image)))
            .collect();
        let all = TagList::new(tags.keys().copied(), None, &[]);
        let mut variants = variants.clone();
        variants.extend(all.sure_variants());
        let is_own = |tag: &Tag| variant_of(tag, &variants) == key.variant.as_ref();
        let own: BTreeMap<&Tag, &ScannedImage> =
            tags.into_iter().filter(|(tag, _)| is_own(tag)).collect();
        let list = TagList::new(own.keys().copied(), key.variant.as_ref(), &[]);
        let versions = list.versions().iter().rev();
        let mut versions: Vec<SiteVersion> = versions
            .filter_map(|held| {
                let version = held.version.to_string();
                self.version(version, own.get(&held.tag)?)
            })
            .collect();
        // Pre-releases are not the newest version, unless there is no other.
        let is_release = |one: &SiteVersion| {
            let version = semver::Version::parse(&one.version);
            version.is_ok_and(|version| version.pre.is_empty())
        };
        if let Some(at) = versions.iter().position(is_release) {
            versions[..=at].rotate_right(1);
        }
        if versions.is_empty() {
            let images = own.iter();
            let images = images.filter_map(|(tag, image)| self.version(tag.to_string(), image));
            versions = images.collect();
            versions.sort_by(|a, b| b.time.cmp(&a.time).then_with(|| a.digest.cmp(&b.digest)));
            versions.dedup_by(|a, b| a.digest == b.digest);
        }
        let site_tag = |(tag, image): (&Tag, &ScannedImage)| SiteTag {
            tag: tag.clone(),
            digest: image.described.raw.digest.clone(),
            channel: channels.get(tag).cloned(),
        };
        let problems = self.scan.problems.iter();
        let mut unread = problems.filter(|problem| problem.is_repository);
        SiteRepository {
            is_unread: unread.any(|problem| problem.reference.repository == repository),
            tags: own.into_iter().map(site_tag).collect(),
            versions,
            repository,
        }
    }

    fn version(&self, version: String, image: &ScannedImage) -> Option<SiteVersion> {
        let described = &image.described;
        let digest = described.raw.digest.clone();
        let published = self.published.get(&(&image.repository, &digest)).copied();
        let time = published.or(described.created()).map(str::to_owned);
        let images = &described.images;
        Some(SiteVersion {
            version,
            manifests: images.iter().map(|one| one.digest.clone()).collect(),
            platforms: images.iter().map(|one| one.platform.to_string()).collect(),
            size: packed_size(&shown(described)?.manifest.layers),
            time,
            digest,
            lifecycle: None,
            declared: None,
        })
    }
}

/// The variant that a tag belongs to: the longest one that it ends with.
fn variant_of<'v>(tag: &Tag, variants: &'v BTreeSet<Variant>) -> Option<&'v Variant> {
    let tag = tag.as_str();
    let ends = |variant: &&Variant| {
        let rest = tag.strip_suffix(variant.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('-'))
    };
    let matching = variants.iter().filter(ends);
    matching.max_by_key(|variant| variant.as_str().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_belongs_to_the_longest_variant_that_it_ends_with() {
        let variants = ["alpine", "slim-alpine"].map(|name| name.parse().unwrap());
        let variants = BTreeSet::from(variants);
        for (tag, expected) in [
            ("1.2.3", None),
            ("latest", None),
            ("alpine", Some("alpine")),
            ("1-alpine", Some("alpine")),
            ("1.2.3-slim-alpine", Some("slim-alpine")),
            ("myalpine", None),
        ] {
            let found = variant_of(&tag.parse().unwrap(), &variants);
            assert_eq!(found.map(Variant::as_str), expected, "{tag}");
        }
    }
}
