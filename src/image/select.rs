//! Finds the images of an index by platform. An index can have entries without `platform`, nested
//! indexes, attestations and other artifacts.

use std::collections::{BTreeMap, BTreeSet};

use super::tree::DEEPEST;
use super::{Error, Source, Unfit, config};
use crate::oci::{
    Bytes, Descriptor, EntryRole, ImageConfig, ImageManifest, Index, Manifest, RawManifest,
};
use crate::platform::Platform;
use crate::reference::Digest;

/// The maximum number of entries without a platform that are read.
const MAX_READ: usize = 64;

/// The image of a base for one platform, as its index lists it.
#[derive(Debug, Clone)]
struct PlatformImage {
    platform: Platform,
    /// The version of the operating system. Only Windows images have it.
    os_version: Option<String>,
    /// True if the index has the platform; false if only the config has it.
    is_listed: bool,
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

/// The image that was chosen for a platform, with its manifest and config.
#[derive(Debug)]
pub struct ChosenImage {
    /// The manifest.
    pub raw: RawManifest,
    /// The parsed manifest.
    pub manifest: ImageManifest,
    /// The parsed config, with the variant of the platform from the index.
    pub config: ImageConfig,
    /// The bytes of the config.
    pub config_bytes: Bytes,
}

/// The manifest digest of each platform; empty if `top` is a single image. Fails if the index lists
/// no image.
pub async fn platforms<S: Source>(
    source: &S,
    top: &RawManifest,
) -> Result<BTreeMap<Platform, Digest>, S::Error> {
    let Manifest::Index(index) = source.parse(top)? else {
        return Ok(BTreeMap::new());
    };
    let contents = IndexContents::read(source, top, index).await?;
    let mut platforms = BTreeMap::new();
    for image in contents.images {
        platforms
            .entry(image.platform)
            .or_insert(image.descriptor.digest);
    }
    Ok(platforms)
}

/// The image for a platform. Fails if there is no image or several images for it.
pub async fn choose<S: Source>(
    source: &S,
    top: RawManifest,
    platform: &Platform,
) -> Result<ChosenImage, S::Error> {
    let other = |digest: &Digest, has: String| {
        let wanted = platform.clone();
        source.unusable(digest, Unfit::Platform { wanted, has }.into())
    };
    let (mut raw, mut named) = (top, None);
    let mut manifest = source.parse(&raw)?;
    if let Manifest::Index(index) = manifest {
        let contents = IndexContents::read(source, &raw, index).await?;
        let child = contents
            .choose(platform)
            .map_err(|unfit| source.unusable(&raw.digest, unfit.into()))?;
        raw = required(source, &child.descriptor).await?;
        manifest = source.parse(&raw)?;
        named = Some(child.platform.clone());
    }
    let Manifest::Image(manifest) = manifest else {
        let what = "an entry of its index has a platform, but is an index itself";
        return Err(source.unusable(&raw.digest, Error::NoImage(what.to_owned())));
    };
    let mut chosen = single(source, raw, manifest).await?;
    if let Some(named) = &named {
        name_variant(&mut chosen.config, named);
    }
    let found = chosen.config.platform();
    if found == *platform {
        Ok(chosen)
    } else {
        Err(other(&chosen.raw.digest, found.to_string()))
    }
}

/// The image that a manifest describes, for any platform. Fails if it is an artifact.
pub async fn single<S: Source>(
    source: &S,
    raw: RawManifest,
    manifest: ImageManifest,
) -> Result<ChosenImage, S::Error> {
    manifest
        .refuse_artifact()
        .map_err(|what| source.unusable(&raw.digest, Error::NoImage(what)))?;
    let config_bytes = source.metadata(&manifest.config).await?;
    let config = ImageConfig::parse(&config_bytes)
        .map_err(|error| source.unusable(&raw.digest, error.into()))?;
    Ok(ChosenImage {
        raw,
        manifest,
        config,
        config_bytes,
    })
}

/// Sets the platform variant of a config to the variant in the index, because many configs omit it.
pub(crate) fn name_variant(config: &mut ImageConfig, named: &Platform) {
    let platform = config.platform();
    let lacks_variant = config
        .as_object()
        .get("variant")
        .and_then(|variant| variant.as_str())
        .is_none_or(str::is_empty);
    let same = (&platform.os, &platform.architecture) == (&named.os, &named.architecture);
    if lacks_variant && same && platform != *named {
        config.set_platform(named);
    }
}

/// Reads a manifest that must exist.
async fn required<S: Source>(source: &S, entry: &Descriptor) -> Result<RawManifest, S::Error> {
    let found = source.manifest(entry).await?;
    found.ok_or_else(|| source.missing(&entry.digest))
}

impl IndexContents {
    /// Reads all entries of an index, including nested indexes. Each digest is read once. Fails if
    /// no entry is an image.
    async fn read<S: Source>(
        source: &S,
        top: &RawManifest,
        index: Index,
    ) -> Result<Self, S::Error> {
        let mut contents = Self::default();
        let (mut seen, mut reads) = (BTreeSet::new(), 0);
        let entries = |index: Index, depth: usize| {
            let entries = index.manifests.into_iter().rev();
            entries.map(move |child| (child, depth))
        };
        let mut waiting: Vec<(Descriptor, usize)> = entries(index, 1).collect();
        while let Some((child, depth)) = waiting.pop() {
            if !seen.insert((
                child.digest.clone(),
                child.platform.as_ref().map(Platform::from),
            )) {
                continue;
            }
            match child.role() {
                EntryRole::Image(platform) => contents.add(platform, child, true),
                EntryRole::Other(what) => contents.count(what),
                EntryRole::Unnamed => {
                    reads += 1;
                    if reads > MAX_READ || depth > DEEPEST {
                        let what = format!(
                            "its index has more than {MAX_READ} entries without a platform, or more than \
                             {DEEPEST} levels of nested indexes"
                        );
                        return Err(source.unusable(&top.digest, Error::NoImage(what)));
                    }
                    let raw = required(source, &child).await?;
                    match source.parse(&raw)? {
                        Manifest::Index(index) => waiting.extend(entries(index, depth + 1)),
                        Manifest::Image(manifest) => {
                            if let Some(kind) = manifest.type_of_artifact() {
                                contents.count(format!("artifact of type {kind}"));
                                continue;
                            }
                            let config = config(source, &raw, &manifest).await?;
                            contents.add(config.platform(), child, false);
                        }
                    }
                }
            }
        }
        if contents.images.is_empty() {
            let unfit = Unfit::Empty(contents.found());
            return Err(source.unusable(&top.digest, unfit.into()));
        }
        Ok(contents)
    }

    fn add(&mut self, platform: Platform, descriptor: Descriptor, is_listed: bool) {
        let os_version = descriptor
            .platform
            .as_ref()
            .and_then(|named| named.os_version.clone());
        self.images.push(PlatformImage {
            platform,
            os_version,
            is_listed,
            descriptor,
        });
    }

    fn count(&mut self, what: String) {
        *self.others.entry(what).or_default() += 1;
    }

    /// The image for a platform: an exact match, else one without a variant. The error lists the
    /// available platforms, or the versions of the operating system if several images match; Docker
    /// would choose the version of its own host.
    fn choose(&self, platform: &Platform) -> Result<&PlatformImage, Unfit> {
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
                return Err(Unfit::Ambiguous {
                    platform: platform.clone(),
                    versions: versions.join(", "),
                });
            }
            return Ok(first);
        }
        let (wanted, has) = (platform.clone(), self.found());
        Err(if self.images.iter().any(|image| image.is_listed) {
            Unfit::Platform { wanted, has }
        } else {
            Unfit::Unlisted { wanted, has }
        })
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
