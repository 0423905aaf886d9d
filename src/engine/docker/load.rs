//! Giving an engine images that it did not build: what golden assembled, and a base that lies in a layout.

use std::collections::BTreeMap;

use super::super::{Error, embedded};
use super::{Docker, LocalImage};
use crate::assemble::Assembled;
use crate::platform::Platform;
use crate::reference::Reference;
use crate::registry::{Registries, RegistryEnv};
use crate::resolve::image::Layout;
use crate::store::{Blobs, NamedImage, archive};

/// How much of an archive is under way at once.
const PIPE: usize = 256 * 1024;

impl Docker {
    /// Streams an assembled image, as a docker archive that names it `names`, into the engine.
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
        // Known before the engine is given half an archive, of which it would only say that there is nothing in it.
        archive::only(&named[0])?;
        let (reader, mut writer) = tokio::io::duplex(PIPE);
        let write = async {
            let written = archive::write(&mut writer, &named, blobs).await;
            drop(writer);
            written
        };
        let (written, loaded) = tokio::join!(write, self.load(reader));
        // When the engine stops reading, writing fails too: its own words come first.
        loaded?;
        Ok(written?)
    }

    /// A base of a layout as the engine has it, and its name there; it is loaded unless it is there already.
    pub(super) async fn layout_base(
        &self,
        layout: &Layout,
        platform: Option<&Platform>,
    ) -> Result<(String, LocalImage), Error> {
        let (name, platform) = (layout.local_name(), platform.unwrap_or(&self.platform));
        let unnamed =
            |error: crate::reference::Error| unreachable!("a digest in hex is a tag: {error}");
        let reference: Reference = name.parse().unwrap_or_else(unnamed);
        if let Some(image) = self
            .image(&reference)
            .await?
            .filter(|image| image.platform == *platform)
        {
            return Ok((name, image));
        }
        let base = Assembled::new(vec![embedded::layout_image(layout, platform).await?]);
        // All that a layout has is in files.
        let blobs = Blobs::new(Registries::new(
            Vec::new(),
            RegistryEnv::from_vars(&BTreeMap::new()),
        ));
        self.load_assembled(&base, std::slice::from_ref(&reference), &blobs)
            .await?;
        let lost = || Error::Base {
            reference: name.clone(),
            message: "it is not there after it was loaded".to_owned(),
        };
        let image = self.image(&reference).await?.ok_or_else(lost)?;
        Ok((name, image))
    }
}
