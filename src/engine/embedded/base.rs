//! Reads the base for one platform: its manifest and config, from the cache or the registry.

use std::collections::BTreeMap;

use super::{Embedded, Error};
use crate::assemble::{self, AssembledImage, BaseImage, LayerSource};
use crate::image::{self, ChosenImage, METADATA_LIMIT, Source, name_variant};
use crate::oci::{Bytes, Descriptor, ImageConfig, ImageManifest, Manifest, RawManifest};
use crate::platform::Platform;
use crate::reference::{Digest, Reference};
use crate::render::PinnedBase;
use crate::store::layout::LayoutReader;

/// The source of a base.
pub(super) enum BaseSource<'a> {
    /// A registry, through the cache.
    Registry(&'a Embedded, &'a Reference),
    /// An OCI layout, with the name of the base as the spec writes it.
    Layout(&'a LayoutReader, &'a str),
}

impl Source for BaseSource<'_> {
    type Error = Error;

    async fn manifest(&self, descriptor: &Descriptor) -> Result<Option<RawManifest>, Error> {
        match self {
            Self::Registry(embedded, reference) => {
                embedded.manifest(reference, &descriptor.digest).await
            }
            Self::Layout(reader, _) => Ok(Source::manifest(*reader, descriptor).await?),
        }
    }

    async fn metadata(&self, descriptor: &Descriptor) -> Result<Bytes, Error> {
        match self {
            Self::Registry(embedded, reference) => embedded.config(reference, descriptor).await,
            Self::Layout(reader, _) => Ok(reader.metadata(descriptor).await?),
        }
    }

    fn missing(&self, digest: &Digest) -> Error {
        match self {
            Self::Registry(_, reference) => Error::BaseMissing {
                reference: reference.at(digest.clone()).to_string(),
            },
            Self::Layout(reader, _) => reader.missing(digest).into(),
        }
    }

    fn unusable(&self, _: &Digest, problem: image::Error) -> Error {
        let reference = match self {
            Self::Registry(_, reference) => reference.to_string(),
            Self::Layout(_, name) => (*name).to_owned(),
        };
        match problem {
            image::Error::Unfit(unfit) => Error::Unfit { reference, unfit },
            image::Error::NoImage(what) => assemble::Error::Base(what).into(),
            source => Error::Image { reference, source },
        }
    }
}

impl BaseSource<'_> {
    /// The manifest digest of each platform; empty for a base that is a single image.
    pub(super) async fn platforms(
        &self,
        media_type: &str,
        digest: &Digest,
    ) -> Result<BTreeMap<Platform, Digest>, Error> {
        image::platforms(self, &self.top(media_type, digest).await?).await
    }

    /// The image for a platform. Fails if the base has no image or several images for it.
    pub(super) async fn choose(
        &self,
        media_type: &str,
        digest: &Digest,
        platform: &Platform,
    ) -> Result<ChosenImage, Error> {
        image::choose(self, self.top(media_type, digest).await?, platform).await
    }

    async fn top(&self, media_type: &str, digest: &Digest) -> Result<RawManifest, Error> {
        let descriptor = Descriptor::new(media_type, digest.clone(), 0);
        let found = self.manifest(&descriptor).await?;
        found.ok_or_else(|| self.missing(digest))
    }
}

impl Embedded {
    /// The image of a registry for a platform. It is read once per run.
    pub(super) async fn base(
        &self,
        reference: &Reference,
        digest: &Digest,
        platform: &Platform,
    ) -> Result<BaseImage, Error> {
        let key = format!("{}@{digest} {platform}", reference.repository);
        self.shared
            .bases
            .get(key, self.read_base(reference, digest, platform))
            .await
    }

    async fn read_base(
        &self,
        reference: &Reference,
        digest: &Digest,
        platform: &Platform,
    ) -> Result<BaseImage, Error> {
        let chosen = BaseSource::Registry(self, reference)
            .choose("", digest, platform)
            .await?;
        let source = |_: &Descriptor| LayerSource::Registry(reference.repository.clone());
        Ok(BaseImage::new(
            &chosen.manifest,
            &chosen.raw.media_type,
            chosen.config,
            source,
        )?)
    }

    /// The manifest digest of each platform of an image in a registry; empty for a single image.
    /// Fails if the registry does not have the image or cannot be read.
    pub(crate) async fn platforms(
        &self,
        reference: &Reference,
        digest: &Digest,
    ) -> Result<BTreeMap<Platform, Digest>, Error> {
        BaseSource::Registry(self, reference)
            .platforms("", digest)
            .await
    }

    /// The config of a base in a registry, for a platform. Returns `None` for another base, or if
    /// the registry cannot be read. Fails if the base is not available for the platform.
    pub(crate) async fn base_config(
        &self,
        base: &PinnedBase,
        platform: &Platform,
    ) -> Result<Option<ImageConfig>, Error> {
        let PinnedBase::Registry {
            reference, digest, ..
        } = base
        else {
            return Ok(None);
        };
        match BaseSource::Registry(self, reference)
            .choose("", digest, platform)
            .await
        {
            Ok(chosen) => Ok(Some(chosen.config)),
            Err(error @ (Error::Registry(_) | Error::BaseMissing { .. } | Error::Cache(_))) => {
                tracing::debug!(%error, "the config of the base is taken from the engine");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The manifest with this digest, from the cache or the registry.
    async fn manifest(
        &self,
        reference: &Reference,
        digest: &Digest,
    ) -> Result<Option<RawManifest>, Error> {
        if let Some(raw) = self.cached_manifest(digest)? {
            return Ok(Some(raw));
        }
        let repo = self.registries.repo(&reference.repository);
        let Some(raw) = repo.manifest(digest).await? else {
            return Ok(None);
        };
        if let Some(cached) = raw.to_cached() {
            self.write_cached("manifests", digest, &cached);
        }
        Ok(Some(raw))
    }

    /// Reads a manifest from the cache. `None` if the cache does not have it.
    fn cached_manifest(&self, digest: &Digest) -> Result<Option<RawManifest>, Error> {
        let cached = self.read_cached("manifests", digest)?;
        Ok(cached.and_then(|bytes| RawManifest::of_cached(&bytes, digest)))
    }

    /// The config with this digest, from the cache or the registry.
    async fn config(&self, reference: &Reference, descriptor: &Descriptor) -> Result<Bytes, Error> {
        if let Some(kept) = self
            .read_cached("configs", &descriptor.digest)?
            .filter(|bytes| descriptor.digest.is_of(bytes))
        {
            return Ok(kept.into());
        }
        let repo = self.registries.repo(&reference.repository);
        let bytes = repo.blob(descriptor, METADATA_LIMIT).await?;
        self.write_cached("configs", &descriptor.digest, &bytes);
        Ok(bytes)
    }
}

/// Converts an assembled image to a base.
pub(super) fn of_assembled(image: &AssembledImage) -> Result<BaseImage, Error> {
    let name = || "an image of this workspace".to_owned();
    let manifest: ImageManifest = match image.manifest.parse() {
        Ok(Manifest::Image(manifest)) => manifest,
        Ok(Manifest::Index(_)) => unreachable!("an assembled image is not an index"),
        Err(source) => {
            return Err(Error::Image {
                reference: name(),
                source: source.into(),
            });
        }
    };
    let mut config = ImageConfig::parse(&image.config).map_err(|source| Error::Image {
        reference: name(),
        source: source.into(),
    })?;
    name_variant(&mut config, &image.platform);
    let source = |descriptor: &Descriptor| {
        let layer = image
            .layers
            .iter()
            .find(|layer| layer.descriptor.digest == descriptor.digest);
        layer.map_or(LayerSource::Inline(Vec::new().into()), |layer| {
            layer.source.clone()
        })
    };
    Ok(BaseImage::new(
        &manifest,
        &image.manifest.media_type,
        config,
        source,
    )?)
}
