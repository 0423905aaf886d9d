//! Loads images into an engine that it did not build: images that golden assembled, and bases in an
//! OCI layout.

use std::collections::BTreeMap;

use super::super::{EngineKind, Error, TransferCause, embedded};
use super::facts::CONTAINERD;
use super::{Docker, LocalImage};
use crate::assemble::Assembled;
use crate::image::Blobs;
use crate::platform::Platform;
use crate::reference::Reference;
use crate::registry::{Registries, RegistryEnv};
use crate::resolve::image::Layout;
use crate::store::{NamedImage, archive, oci_archive};

/// The buffer between the archive writer and the connection, in bytes.
const PIPE: usize = 256 * 1024;

impl Docker {
    /// Streams an assembled image into the engine with the tags `names`: as a docker archive, or an
    /// image with several platforms as an OCI layout, which only the containerd store holds. Fails
    /// if a layer cannot be read, or if the engine refuses the archive.
    pub async fn load_assembled(
        &self,
        image: &Assembled,
        names: &[Reference],
        blobs: &Blobs,
    ) -> Result<(), Error> {
        let named = [NamedImage {
            image,
            references: names.to_vec(),
        }];
        let has_several = image.images.len() > 1;
        if has_several {
            self.require_several_platforms(names).await?;
        }
        let (reader, mut writer) = tokio::io::duplex(PIPE);
        let write = async {
            let written = if has_several {
                oci_archive::write(&mut writer, &named[0], blobs).await
            } else {
                archive::write(&mut writer, &named, blobs).await
            };
            drop(writer);
            written
        };
        let (written, loaded) = tokio::join!(write, self.load(reader));
        // If the engine stops reading, the writer fails as well. The engine's own error explains
        // more.
        loaded?;
        Ok(written?)
    }

    /// Fails if the store of the engine holds only one platform of an image. An engine reports for an
    /// archive of another format only that it is empty.
    async fn require_several_platforms(&self, names: &[Reference]) -> Result<(), Error> {
        let store = self.facts().await?.store.unwrap_or_default();
        if store == CONTAINERD {
            return Ok(());
        }
        let name = names.first().map(ToString::to_string).unwrap_or_default();
        Err(Error::Unsupported {
            what: format!(
                "{name} has several platforms, but the image store of the engine ({store}) holds only one of them: \
                 use an engine with the containerd image store, write the image with --to oci:DIR, or build one platform"
            ),
            engine: EngineKind::Docker,
        })
    }

    /// The base of a layout in the engine, and its name there. It is loaded unless the engine
    /// already has it.
    pub(super) async fn layout_base(
        &self,
        layout: &Layout,
        platform: Option<&Platform>,
    ) -> Result<(String, LocalImage), Error> {
        let (name, platform) = (layout.local_name(), platform.unwrap_or(&self.platform));
        let unnamed = |error: crate::reference::Error| {
            unreachable!("a hexadecimal digest is a valid tag: {error}")
        };
        let reference: Reference = name.parse().unwrap_or_else(unnamed);
        if let Some(image) = self
            .image(&reference)
            .await?
            .filter(|image| image.platform == *platform)
        {
            return Ok((name, image));
        }
        let base = Assembled::new(vec![embedded::layout_image(layout, platform).await?]);
        // A layout needs no registry: all its content is in files.
        let blobs = Blobs::new(Registries::new(
            Vec::new(),
            RegistryEnv::from_vars(&BTreeMap::new()),
        ));
        self.load_assembled(&base, std::slice::from_ref(&reference), &blobs)
            .await?;
        let missing = || Error::Base {
            reference: name.clone(),
            message: "it does not exist after it was loaded".to_owned(),
            cause: TransferCause::NoTransfer,
        };
        let image = self.image(&reference).await?.ok_or_else(missing)?;
        Ok((name, image))
    }
}
