//! Writes an image to a repository: the blobs first, then the images of an index, and the top last.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::timeout;

use super::{Blobs, Follow, Tree};
use crate::assemble::{Assembled, Layer, LayerSource};
use crate::oci::{Descriptor, RawManifest};
use crate::reference::{Digest, RepositoryPath, Target};
use crate::registry::{BlobHint, Error, Registries, Repo};

/// The number of blobs of an image that are uploaded concurrently.
const CONCURRENT: usize = 8;

/// The manifests and blobs of an image to write to a repository, with the source of each blob.
#[derive(Debug)]
pub struct UploadSet {
    /// The manifest or index that tags point to.
    pub top: RawManifest,
    /// The manifests below `top`. A manifest comes after all manifests that it references.
    children: Vec<RawManifest>,
    blobs: Vec<Layer>,
    /// The digests of those blobs that are configs.
    configs: BTreeSet<Digest>,
}

/// The longest time to read the previous version, which only saves requests.
const READING_LIMIT: Duration = Duration::from_secs(3);

/// The blobs of the image that a moving tag pointed to before a new version.
#[derive(Debug, Default)]
pub struct Predecessor {
    blobs: Option<BTreeSet<Digest>>,
}

impl Predecessor {
    /// Reads the manifests of the image `digest`, if that costs fewer requests than it saves for
    /// `content`. Errors and slow answers are ignored: the blobs are then requested one by one.
    pub async fn read(from: &Repo, digest: &Digest, content: &UploadSet) -> Self {
        if !content.has_more_layers_than_manifests() {
            return Self::default();
        }
        match timeout(READING_LIMIT, blobs_of(from, digest)).await {
            Ok(Ok(blobs)) => Self { blobs },
            Ok(Err(error)) => {
                tracing::debug!(%error, %digest, "the previous version cannot be read");
                Self::default()
            }
            Err(_) => {
                tracing::debug!(%digest, "the previous version is read too slowly");
                Self::default()
            }
        }
    }

    /// True if the manifests were read.
    const fn is_read(&self) -> bool {
        self.blobs.is_some()
    }

    fn lists(&self, blob: &Digest) -> bool {
        self.blobs
            .as_ref()
            .is_some_and(|blobs| blobs.contains(blob))
    }
}

/// The digests of the blobs of an image; `None` if the repository does not have it.
async fn blobs_of(from: &Repo, digest: &Digest) -> Result<Option<BTreeSet<Digest>>, Error> {
    let Some(top) = from.manifest(digest).await? else {
        return Ok(None);
    };
    let tree = Tree::load(from, top, Follow::Images).await?;
    let blobs = tree.blobs(from)?.into_iter().map(|blob| blob.digest);
    Ok(Some(blobs.collect()))
}

/// The repository of the same registry that has a blob.
fn mount_from<'a>(blob: &'a Layer, to: &Repo) -> Option<&'a RepositoryPath> {
    match &blob.source {
        LayerSource::Registry(from) if from.host == to.name().host => Some(&from.path),
        _ => None,
    }
}

/// The content to upload again after the registry reported missing content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repair {
    /// Nothing: the registry may only be late.
    Nothing,
    /// The blobs that the registry does not have.
    Missing,
    /// Every blob.
    Everything,
}

const REPAIRS: [(Duration, Repair); 4] = [
    (Duration::from_millis(50), Repair::Nothing),
    (Duration::from_millis(200), Repair::Missing),
    (Duration::from_millis(500), Repair::Missing),
    (Duration::from_secs(1), Repair::Everything),
];

impl UploadSet {
    /// The content of an assembled image. Foreign layers are omitted, and a blob that several
    /// platforms share is listed once.
    #[must_use]
    pub fn assembled(assembled: &Assembled) -> Self {
        let images = &assembled.images;
        let blobs = images.iter().flat_map(|image| {
            // Only the digest and the size of a config matter here; the manifest has its media
            // type.
            let config = Layer {
                descriptor: Descriptor::of("", &image.config),
                source: LayerSource::Inline(image.config.clone()),
            };
            image.layers.iter().cloned().chain([config])
        });
        let mut seen = BTreeSet::new();
        let keep = |blob: &Layer| {
            blob.descriptor.urls.is_empty() && seen.insert(blob.descriptor.digest.clone())
        };
        let manifests = images.iter().map(|image| &image.manifest);
        let configs = images.iter().map(|image| Digest::of(&image.config));
        Self {
            blobs: blobs.filter(keep).collect(),
            configs: configs.collect(),
            children: manifests
                .filter(|manifest| manifest.digest != assembled.top.digest)
                .cloned()
                .collect(),
            top: assembled.top.clone(),
        }
    }

    /// The content of a published image, to be copied from its repository. Fails if the repository
    /// lacks a manifest.
    pub async fn published(from: &Repo, top: RawManifest) -> Result<Self, Error> {
        let tree = Tree::whole(from, top).await?;
        let blobs = tree.blobs(from)?.into_iter().map(|descriptor| Layer {
            descriptor,
            source: LayerSource::Registry(from.name().clone()),
        });
        let images = tree.images(from)?.into_iter();
        Ok(Self {
            blobs: blobs.collect(),
            configs: images.map(|(_, image)| image.config.digest).collect(),
            children: tree.below,
            top: tree.top,
        })
    }

    /// Sends everything without a tag: the blobs, and the children of an index. A blob is mounted if
    /// the registry has it in another repository; else it is uploaded.
    pub async fn send(&self, registries: &Registries, to: &Repo) -> Result<(), Error> {
        self.transfer(registries, to, None).await
    }

    /// Sends everything like [`Self::send`], for a version that does not exist. A blob that
    /// `predecessor` lists, a manifest that this run read from the repository, is not requested: the
    /// registry refuses the new manifest if it lost the blob, and [`Self::put`] then sends it. Blobs
    /// that it does not list are probably new.
    pub async fn send_new(
        &self,
        registries: &Registries,
        to: &Repo,
        predecessor: &Predecessor,
    ) -> Result<(), Error> {
        self.transfer(registries, to, Some(predecessor)).await
    }

    fn is_config(&self, blob: &Layer) -> bool {
        self.configs.contains(&blob.descriptor.digest)
    }

    /// True if it has more layers than an image of the same form has manifests.
    fn has_more_layers_than_manifests(&self) -> bool {
        let layers = self.blobs.iter().filter(|blob| !self.is_config(blob));
        layers.count() > self.children.len() + 1
    }

    /// True for a blob that a new version adds: its config, and a layer that the predecessor,
    /// which was read, does not list.
    fn is_probably_absent(&self, blob: &Layer, predecessor: Option<&Predecessor>) -> bool {
        predecessor.is_some_and(|known| known.is_read() || self.is_config(blob))
    }

    async fn transfer(
        &self,
        registries: &Registries,
        to: &Repo,
        predecessor: Option<&Predecessor>,
    ) -> Result<(), Error> {
        let blobs = Blobs::new(registries.clone());
        let is_listed =
            |blob: &&Layer| predecessor.is_some_and(|known| known.lists(&blob.descriptor.digest));
        let missing = self.blobs.iter().filter(|blob| !is_listed(blob));
        let sent = stream::iter(missing).map(async |blob| {
            let hint = BlobHint {
                mount_from: mount_from(blob, to),
                is_probably_absent: self.is_probably_absent(blob, predecessor),
            };
            to.transfer_blob(&blob.descriptor, hint, &blobs.source(blob))
                .await
        });
        sent.buffer_unordered(CONCURRENT)
            .try_collect::<Vec<_>>()
            .await?;
        for child in &self.children {
            self.put(registries, to, &child.digest, child).await?;
        }
        Ok(())
    }

    /// Puts a manifest whose content was just sent. distribution may report blobs as missing for a
    /// moment while another publisher uploads the same ones, and may claim to have blobs that it
    /// lost. If the registry refuses the manifest for another reason, missing blobs are sent once.
    pub async fn put(
        &self,
        registries: &Registries,
        to: &Repo,
        target: impl Into<Target>,
        manifest: &RawManifest,
    ) -> Result<(), Error> {
        let target = target.into();
        let mut was_refused = false;
        for (pause, repair) in REPAIRS {
            let repair = match to.put(&target, manifest).await {
                Err(error) if error.misses_content() => {
                    tracing::debug!(%error, ?repair, "the registry misses what was uploaded");
                    repair
                }
                Err(error) if error.refuses_manifest() && !was_refused => {
                    tracing::debug!(%error, "the registry may miss what was not uploaded");
                    was_refused = true;
                    Repair::Missing
                }
                done => return done,
            };
            tokio::time::sleep(pause).await;
            self.send_again(registries, to, repair).await?;
        }
        to.put(&target, manifest).await
    }

    async fn send_again(
        &self,
        registries: &Registries,
        to: &Repo,
        repair: Repair,
    ) -> Result<(), Error> {
        if repair == Repair::Nothing {
            return Ok(());
        }
        let blobs = Blobs::new(registries.clone());
        let sent = stream::iter(&self.blobs).map(async |blob| {
            let source = blobs.source(blob);
            match (repair, mount_from(blob, to)) {
                (Repair::Everything, _) => to.replace_blob(&blob.descriptor, &source).await,
                (_, Some(from)) if from != to.path() => {
                    to.push_blob_or_mount(&blob.descriptor, from, &source).await
                }
                _ => to.push_blob(&blob.descriptor, &source).await,
            }
        });
        sent.buffer_unordered(CONCURRENT)
            .try_collect::<Vec<_>>()
            .await?;
        for child in &self.children {
            match to.put(&child.digest, child).await {
                // The next repair sends more.
                Err(error) if error.misses_content() => {
                    tracing::debug!(%error, "the registry still misses what was uploaded");
                }
                done => done?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::assemble::AssembledImage;
    use crate::oci::media;
    use crate::reference::Repository;
    use crate::registry::RegistryEnv;

    fn layer(content: &'static str) -> Layer {
        Layer {
            descriptor: Descriptor::of(media::OCI_LAYER, content.as_bytes()),
            source: LayerSource::Inline(content.as_bytes().into()),
        }
    }

    /// The content of an image with these layers of each platform.
    fn upload_set(platforms: &[(&str, &[Layer])]) -> UploadSet {
        let images = platforms.iter().map(|(platform, layers)| {
            let config = platform.as_bytes().into();
            AssembledImage::new(platform.parse().unwrap(), config, layers.to_vec(), false)
        });
        UploadSet::assembled(&Assembled::new(images.collect()))
    }

    const AMD64: &str = "linux/amd64";
    const ARM64: &str = "linux/arm64";

    #[test]
    fn a_blob_of_several_platforms_is_sent_once_and_a_foreign_layer_never() {
        let mut foreign = layer("foreign");
        let url = "https://example.com/layer".to_owned();
        foreign.descriptor.urls.push(url);
        let amd64 = [foreign.clone(), layer("base"), layer("a")];
        let arm64 = [foreign, layer("base"), layer("b")];
        let set = upload_set(&[(AMD64, &amd64), (ARM64, &arm64)]);
        let sent = set.blobs.iter().map(|blob| blob.descriptor.digest.clone());
        let expected = ["base", "a", AMD64, "b", ARM64];
        let expected = expected.map(|content| Digest::of(content.as_bytes()));
        assert_eq!(sent.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_previous_version_is_read_if_it_has_fewer_manifests_than_layers_are_saved() {
        let layers = ["a", "b", "c", "d"].map(layer);
        for (platforms, expected) in [
            (&[(AMD64, &layers[..1])][..], false),
            (&[(AMD64, &layers[..2])], true),
            (&[(AMD64, &layers[..2]), (ARM64, &layers[2..3])], false),
            (&[(AMD64, &layers[..2]), (ARM64, &layers[2..])], true),
        ] {
            let found = upload_set(platforms).has_more_layers_than_manifests();
            assert_eq!(found, expected, "{platforms:?}");
        }
    }

    /// A blob that is probably absent is sent without a request for it.
    #[test]
    fn the_config_and_the_other_layers_of_a_new_version_are_probably_absent() {
        let set = upload_set(&[(AMD64, &[layer("a")])]);
        let read = Predecessor {
            blobs: Some(BTreeSet::new()),
        };
        let unread = Predecessor::default();
        for (predecessor, expected) in [
            (None, [false, false]),
            (Some(&unread), [false, true]),
            (Some(&read), [true, true]),
        ] {
            let found = set.blobs.iter();
            let found = found.map(|blob| set.is_probably_absent(blob, predecessor));
            assert_eq!(found.collect::<Vec<_>>(), expected, "{predecessor:?}");
        }
    }

    #[test]
    fn a_blob_is_mounted_only_from_the_same_registry() {
        let env = RegistryEnv::from_vars(&BTreeMap::new());
        let registries = Registries::new(Vec::new(), env);
        let repository = |name: &str| name.parse::<Repository>().unwrap();
        let to = registries.repo(&repository("registry.example.com/app"));
        for (source, expected) in [
            (layer("a").source, None),
            (
                LayerSource::Registry(repository("registry.example.com/base")),
                Some("base"),
            ),
            (
                LayerSource::Registry(repository("elsewhere.example.com/base")),
                None,
            ),
        ] {
            let blob = Layer {
                source,
                ..layer("a")
            };
            let found = mount_from(&blob, &to).map(ToString::to_string);
            assert_eq!(found.as_deref(), expected, "{blob:?}");
        }
    }
}
