//! Finds the images of a base by platform. An index can have entries without `platform`, nested
//! indexes, attestations and other artifacts.

use std::collections::{BTreeMap, BTreeSet};

use super::base::{name_variant, parse};
use super::{Embedded, Error};
use crate::oci::{
    Bytes, Descriptor, EntryRole, ImageConfig, ImageManifest, Index, Manifest, RawManifest,
};
use crate::platform::Platform;
use crate::reference::{Digest, Reference};
use crate::store::layout::LayoutReader;

/// The maximum depth of nested indexes.
const MAX_DEPTH: usize = 8;
/// The maximum number of entries without a platform that are read.
const MAX_READ: usize = 64;

/// The source of a base.
pub(super) enum BaseSource<'a> {
    /// A registry, through the cache.
    Registry(&'a Embedded, &'a Reference),
    /// An OCI layout, with the name of the base as the spec writes it.
    Layout(&'a LayoutReader, &'a str),
}

/// The image of a base for one platform, as its index lists it.
#[derive(Debug, Clone)]
struct PlatformImage {
    platform: Platform,
    /// The version of the operating system. Only Windows images have it.
    os_version: Option<String>,
    descriptor: Descriptor,
}

/// The entries of an index.
#[derive(Debug, Default)]
struct IndexContents {
    /// The images, in the order of the index.
    images: Vec<PlatformImage>,
    /// The number of other entries, by their kind.
    others: BTreeMap<String, usize>,
}

/// The chosen image of a base, with its manifest and config.
pub(super) struct Chosen {
    pub(super) raw: RawManifest,
    pub(super) manifest: ImageManifest,
    pub(super) config: ImageConfig,
    pub(super) config_bytes: Bytes,
}

impl BaseSource<'_> {
    fn name(&self) -> String {
        match self {
            Self::Registry(_, reference) => reference.to_string(),
            Self::Layout(_, name) => (*name).to_owned(),
        }
    }

    async fn manifest(
        &self,
        media_type: &str,
        digest: &Digest,
    ) -> Result<(RawManifest, Manifest), Error> {
        let raw = match self {
            Self::Registry(embedded, reference) => embedded.manifest(reference, digest).await?,
            Self::Layout(reader, _) => reader.manifest(media_type, digest)?,
        };
        let manifest = parse(&raw, &self.name())?;
        Ok((raw, manifest))
    }

    async fn config(&self, manifest: &ImageManifest) -> Result<(Bytes, ImageConfig), Error> {
        let bytes = match self {
            Self::Registry(embedded, reference) => {
                embedded.config(reference, &manifest.config).await?
            }
            Self::Layout(reader, _) => reader.blob(&manifest.config.digest)?.into(),
        };
        let config = ImageConfig::parse(&bytes).map_err(|source| Error::Config {
            reference: self.name(),
            source,
        })?;
        Ok((bytes, config))
    }

    /// The manifest digest of each platform; empty for a base that is a single image. Fails if the
    /// index lists no image.
    pub(super) async fn platforms(
        &self,
        media_type: &str,
        digest: &Digest,
    ) -> Result<BTreeMap<Platform, Digest>, Error> {
        let (_, Manifest::Index(index)) = self.manifest(media_type, digest).await? else {
            return Ok(BTreeMap::new());
        };
        let contents = self.contents(index).await?;
        if contents.images.is_empty() {
            return Err(Error::NoImage {
                reference: self.name(),
                found: contents.found(),
            });
        }
        let mut platforms = BTreeMap::new();
        for image in contents.images {
            platforms
                .entry(image.platform)
                .or_insert(image.descriptor.digest);
        }
        Ok(platforms)
    }

    /// The image for a platform. Fails if the base has no image or several images for it.
    pub(super) async fn choose(
        &self,
        media_type: &str,
        digest: &Digest,
        platform: &Platform,
    ) -> Result<Chosen, Error> {
        let other = |has: String| Error::Platform {
            reference: self.name(),
            wanted: platform.clone(),
            has,
        };
        let (mut raw, mut manifest) = self.manifest(media_type, digest).await?;
        let mut named = None;
        if let Manifest::Index(index) = manifest {
            let contents = self.contents(index).await?;
            if contents.images.is_empty() {
                return Err(Error::NoImage {
                    reference: self.name(),
                    found: contents.found(),
                });
            }
            let found = contents
                .choose(platform)
                .map_err(|versions| Error::Ambiguous {
                    reference: self.name(),
                    platform: platform.clone(),
                    versions,
                })?;
            let child = found.ok_or_else(|| other(contents.found()))?;
            (raw, manifest) = self
                .manifest(&child.descriptor.media_type, &child.descriptor.digest)
                .await?;
            named = Some(child.platform.clone());
        }
        let Manifest::Image(manifest) = manifest else {
            let what = "an entry of its index has a platform, but is an index itself".to_owned();
            return Err(crate::assemble::Error::Base(what).into());
        };
        manifest
            .refuse_artifact()
            .map_err(crate::assemble::Error::Base)?;
        let (config_bytes, mut config) = self.config(&manifest).await?;
        if let Some(named) = &named {
            name_variant(&mut config, named);
        }
        if config.platform() != *platform {
            return Err(other(config.platform().to_string()));
        }
        Ok(Chosen {
            raw,
            manifest,
            config,
            config_bytes,
        })
    }

    /// Reads all entries of an index, including nested indexes. Each digest is read once.
    async fn contents(&self, index: Index) -> Result<IndexContents, Error> {
        let mut contents = IndexContents::default();
        let mut seen = BTreeSet::new();
        let mut reads = 0;
        let mut waiting: Vec<(Descriptor, usize)> = index
            .manifests
            .into_iter()
            .rev()
            .map(|child| (child, 1))
            .collect();
        while let Some((child, depth)) = waiting.pop() {
            if !seen.insert((
                child.digest.clone(),
                child.platform.clone().map(|named| Platform::from(&named)),
            )) {
                continue;
            }
            match child.role() {
                EntryRole::Image(platform) => contents.add(platform, child),
                EntryRole::Other(what) => contents.count(what),
                EntryRole::Unnamed => {
                    reads += 1;
                    if reads > MAX_READ || depth > MAX_DEPTH {
                        let what = format!(
                            "its index has more than {MAX_READ} entries without a platform, or more than \
                             {MAX_DEPTH} levels of nested indexes"
                        );
                        return Err(crate::assemble::Error::Base(what).into());
                    }
                    match self.manifest(&child.media_type, &child.digest).await? {
                        (_, Manifest::Index(index)) => {
                            waiting.extend(
                                index
                                    .manifests
                                    .into_iter()
                                    .rev()
                                    .map(|child| (child, depth + 1)),
                            );
                        }
                        (_, Manifest::Image(manifest)) => {
                            if let Err(what) = manifest.refuse_artifact() {
                                contents.count(what);
                            } else {
                                let (_, config) = self.config(&manifest).await?;
                                contents.add(config.platform(), child);
                            }
                        }
                    }
                }
            }
        }
        Ok(contents)
    }
}

impl IndexContents {
    fn add(&mut self, platform: Platform, descriptor: Descriptor) {
        let os_version = descriptor
            .platform
            .as_ref()
            .and_then(|named| named.os_version.clone());
        self.images.push(PlatformImage {
            platform,
            os_version,
            descriptor,
        });
    }

    fn count(&mut self, what: String) {
        *self.others.entry(what).or_default() += 1;
    }

    /// The image for a platform: an exact match, else one without a variant. The error lists the
    /// versions of the operating system if several images match; Docker would choose the version of
    /// its own host.
    fn choose(&self, platform: &Platform) -> Result<Option<&PlatformImage>, String> {
        let without_variant = Platform {
            variant: None,
            ..platform.clone()
        };
        for wanted in [platform, &without_variant] {
            let mut fitting = self.images.iter().filter(|image| image.platform == *wanted);
            let Some(first) = fitting.next() else {
                continue;
            };
            let rest: Vec<&PlatformImage> = fitting.collect();
            if rest
                .iter()
                .any(|image| image.os_version != first.os_version)
            {
                let all = std::iter::once(first).chain(rest);
                let versions: Vec<&str> = all
                    .filter_map(|image| image.os_version.as_deref())
                    .collect();
                return Err(versions.join(", "));
            }
            return Ok(Some(first));
        }
        Ok(None)
    }

    /// The platforms as text, or the other entries if there is no image.
    fn found(&self) -> String {
        if self.images.is_empty() {
            let others: Vec<String> = self
                .others
                .iter()
                .map(|(what, count)| format!("{count} × {what}"))
                .collect();
            return if others.is_empty() {
                "nothing".to_owned()
            } else {
                others.join(", ")
            };
        }
        let mut names: Vec<String> = Vec::new();
        for image in &self.images {
            let name = image.platform.to_string();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names.join(", ")
    }
}
