//! Finds an image in a registry or in an OCI layout, for commands that read its files.

use super::destinations::Destinations;
use super::error::Error;
use super::names::WorkspaceNames;
use super::registries;
use super::settings::Settings;
use crate::assemble::{Layer, LayerSource};
use crate::config_files::base::LayoutSpec;
use crate::image::{self, Blobs, ChosenImage, FileReader, Source};
use crate::inventory::{ImageFiles, LayerOwner, ListedContent, layer_owners};
use crate::observe::Absent;
use crate::oci::{Manifest, RawManifest};
use crate::platform::Platform;
use crate::reference::Reference;
use crate::registry::{Registries, Repo};
use crate::store::layout::LayoutReader;

/// The arguments of a command that reads images.
#[derive(Debug, Clone, Copy)]
pub struct Finder<'a> {
    /// The settings of the command.
    pub settings: &'a Settings,
    /// The registries of the command.
    pub destinations: &'a Destinations,
    /// The images of the workspace.
    pub names: &'a WorkspaceNames,
    /// The requested platform.
    pub platform: Option<&'a Platform>,
}

/// An image for one platform, whose layers can be read.
#[derive(Debug)]
pub struct LocatedImage {
    /// The image in full, for messages.
    pub reference: String,
    /// The name without registry, namespace and tag.
    pub name: String,
    /// The manifest and the config.
    pub chosen: ChosenImage,
    layers: Vec<Layer>,
    registries: Registries,
}

impl Finder<'_> {
    /// Finds an image by a reference, by the name of a workspace image, or in a layout
    /// (`oci:DIR[:NAME][@DIGEST]`). Fails if it does not exist, or has no image for the platform.
    pub async fn find(&self, written: &str) -> Result<LocatedImage, Error> {
        if written.starts_with("oci:") {
            self.in_layout(written).await
        } else {
            self.in_registry(written).await
        }
    }

    async fn in_layout(&self, written: &str) -> Result<LocatedImage, Error> {
        let LayoutSpec {
            directory,
            name,
            digest,
        } = written.parse().map_err(Error::invalid)?;
        let layout = LayoutReader::open(&self.settings.cwd.join(&directory))?;
        let (top, names) = layout.find(name.as_deref(), digest.as_ref())?;
        let raw = RawManifest::new(&top.media_type, layout.blob(&top.digest)?);
        let chosen = choose(&layout, raw, self.platform).await?;
        let layers = chosen.manifest.layers.iter();
        let layers = layers.map(|layer| layout.layer(layer));
        let name = name.or_else(|| names.first().cloned()).unwrap_or(directory);
        Ok(LocatedImage {
            reference: written.to_owned(),
            name: short(&name),
            layers: layers.collect::<Result<_, _>>()?,
            chosen,
            registries: registries::open(self.settings, self.destinations, &[])?,
        })
    }

    async fn in_registry(&self, written: &str) -> Result<LocatedImage, Error> {
        let reference = self.names.reference(written)?;
        let named = self.names.with_host([written]);
        let registries = registries::open(self.settings, self.destinations, &named)?;
        let repo = registries.repo(&reference.repository);
        let raw = manifest_of(&repo, &reference).await?;
        let chosen = choose(&repo, raw, self.platform).await?;
        let layers = chosen.manifest.layers.iter().map(|layer| Layer {
            descriptor: layer.clone(),
            source: LayerSource::Registry(reference.repository.clone()),
        });
        Ok(LocatedImage {
            reference: reference.to_string(),
            name: short(reference.repository.path.as_str()),
            layers: layers.collect(),
            chosen,
            registries,
        })
    }
}

impl LocatedImage {
    /// The size of the packed layers, in bytes.
    #[must_use]
    pub fn packed_size(&self) -> u64 {
        let layers = self.layers.iter();
        layers.map(|layer| layer.descriptor.size).sum()
    }

    /// Reads the files of the image. Fails if a layer cannot be read.
    pub async fn files(&self, settings: &Settings) -> Result<ImageFiles, Error> {
        let (reader, layers) = self.reader(settings);
        let merged = reader.merged(&layers, &self.reference, &settings.events);
        Ok(merged.await?)
    }

    /// Reads the content that a bill of materials lists. Fails if a layer cannot be read.
    pub async fn listed_content(&self, settings: &Settings) -> Result<ListedContent, Error> {
        let (reader, layers) = self.reader(settings);
        let content = reader.listed(&layers, &self.reference, &settings.events);
        Ok(content.await?)
    }

    /// The reader of the layers, and the layers with their owners.
    fn reader(&self, settings: &Settings) -> (FileReader, Vec<(Layer, LayerOwner)>) {
        let blobs = Blobs::new(self.registries.clone());
        let reader = FileReader::new(blobs, settings.user_cache());
        let owners = layer_owners(&self.chosen.config, self.layers.len());
        (reader, self.layers.iter().cloned().zip(owners).collect())
    }
}

/// The manifest that a reference points to. Fails with the reason if it does not exist.
pub(super) async fn manifest_of(repo: &Repo, reference: &Reference) -> Result<RawManifest, Error> {
    match repo.manifest(reference.target()).await? {
        Some(raw) => Ok(raw),
        None => Err(Box::new(Absent::find(repo, reference).await).into()),
    }
}

/// The last component of a name, without a tag.
fn short(name: &str) -> String {
    let last = name.rsplit('/').find(|part| !part.is_empty());
    let last = last.unwrap_or(name);
    last.split_once(':')
        .map_or(last, |(name, _)| name)
        .to_owned()
}

/// The image for a platform. The default is the only platform of the image, or else that of this
/// machine.
async fn choose<S: Source>(
    source: &S,
    top: RawManifest,
    platform: Option<&Platform>,
) -> Result<ChosenImage, S::Error> {
    if let Some(platform) = platform {
        return image::choose(source, top, platform).await;
    }
    if let Manifest::Image(manifest) = source.parse(&top)? {
        return image::single(source, top, manifest).await;
    }
    let mut platforms = image::platforms(source, &top).await?.into_keys();
    let platform = match (platforms.next(), platforms.next()) {
        (Some(only), None) => only,
        _ => Platform::host(),
    };
    image::choose(source, top, &platform).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_image_has_no_registry_and_no_tag() {
        for (name, expected) in [
            ("team/app", "app"),
            ("team/app:1.0", "app"),
            ("app", "app"),
            ("../out/", "out"),
        ] {
            assert_eq!(short(name), expected);
        }
    }
}
