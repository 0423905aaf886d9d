//! The base: manifest and config by digest, from the cache or the registry, for one platform.

use std::collections::BTreeMap;

use super::platforms::BaseSource;
use super::{Embedded, Error};
use crate::assemble::{AssembledImage, BaseImage, LayerSource};
use crate::oci::{Bytes, Descriptor, ImageConfig, ImageManifest, Manifest, RawManifest};
use crate::platform::Platform;
use crate::reference::{Digest, Reference, Target};
use crate::render::PinnedBase;

/// Manifests and configs above this size are refused: registries take no manifest above 4 MiB.
const METADATA: u64 = 8 << 20;

impl Embedded {
    /// A registry's image for a platform, read once a run.
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

    /// The digest of the manifest of each platform of a registry's image; none if that is a single image.
    pub(crate) async fn platforms(
        &self,
        reference: &Reference,
        digest: &Digest,
    ) -> Result<BTreeMap<Platform, Digest>, Error> {
        BaseSource::Registry(self, reference)
            .platforms("", digest)
            .await
    }

    /// The config of a registry's base for a platform. None for another base, or if the registry cannot be read; an error
    /// if the base is not for the platform.
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

    /// A manifest by digest.
    pub(super) async fn manifest(
        &self,
        reference: &Reference,
        digest: &Digest,
    ) -> Result<RawManifest, Error> {
        if let Some(raw) = self.cached_manifest(digest)? {
            return Ok(raw);
        }
        let registry = self.registries.of(&reference.repository)?;
        let target = Target::Digest(digest.clone());
        let missing = || Error::BaseMissing {
            reference: reference.at(digest.clone()).to_string(),
        };
        let raw = registry
            .get_manifest(&reference.repository.path, &target)
            .await?
            .ok_or_else(missing)?;
        let mut kept = format!("{}\n", raw.media_type).into_bytes();
        kept.extend_from_slice(&raw.bytes);
        self.keep("manifests", digest, &kept);
        Ok(raw)
    }

    /// A manifest that was read before: its media type in a line, then its bytes.
    fn cached_manifest(&self, digest: &Digest) -> Result<Option<RawManifest>, Error> {
        let Some(kept) = self.kept("manifests", digest)? else {
            return Ok(None);
        };
        let Some(end) = kept.iter().position(|byte| *byte == b'\n') else {
            return Ok(None);
        };
        let raw = RawManifest::new(
            String::from_utf8_lossy(&kept[..end]),
            kept[end + 1..].to_vec(),
        );
        Ok((raw.digest == *digest).then_some(raw))
    }

    /// A config by digest.
    pub(super) async fn config(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
    ) -> Result<Bytes, Error> {
        if let Some(kept) = self
            .kept("configs", &descriptor.digest)?
            .filter(|bytes| descriptor.digest.is_of(bytes))
        {
            return Ok(kept.into());
        }
        let registry = self.registries.of(&reference.repository)?;
        let bytes = registry
            .get_blob(&reference.repository.path, descriptor, METADATA)
            .await?;
        self.keep("configs", &descriptor.digest, &bytes);
        Ok(bytes)
    }
}

/// An image that was assembled before, as a base.
pub(super) fn of_assembled(image: &AssembledImage) -> Result<BaseImage, Error> {
    let name = || "an image of this workspace".to_owned();
    let manifest: ImageManifest = match image.manifest.parse() {
        Ok(Manifest::Image(manifest)) => manifest,
        Ok(Manifest::Index(_)) => unreachable!("an assembled image is no index"),
        Err(source) => {
            return Err(Error::Manifest {
                reference: name(),
                source,
            });
        }
    };
    let mut config = ImageConfig::parse(&image.config).map_err(|source| Error::Config {
        reference: name(),
        source,
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

/// Reads the manifest of a base of this name.
pub(super) fn parse(raw: &RawManifest, reference: &str) -> Result<Manifest, Error> {
    raw.parse().map_err(|source| Error::Manifest {
        reference: reference.to_owned(),
        source,
    })
}

/// Gives a config the variant that an index names its image for: many a config leaves it out.
pub(super) fn name_variant(config: &mut ImageConfig, named: &Platform) {
    let has = config.platform();
    let silent = config
        .as_object()
        .get("variant")
        .and_then(|variant| variant.as_str())
        .is_none_or(str::is_empty);
    let same = (&has.os, &has.architecture) == (&named.os, &named.architecture);
    if silent && same && has != *named {
        config.set_platform(named);
    }
}
