//! The embedded engine. It needs no daemon, no root user, and no network except the registry. It
//! reads the base's manifest and config, and layers only if files or certificates require them.
//! [`assemble`](crate::assemble) does the rest.

mod base;
mod error;
mod hashing_reader;
mod layers;
mod layout;
mod memo;
mod scan;
#[cfg(test)]
mod scan_tests;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

pub use self::error::Error;
pub(super) use self::layout::layout_image;
pub(crate) use self::layout::layout_platforms;
pub(super) use self::scan::scan as scan_layer;

use self::memo::Memo;
use super::{BuildOptions, BuildOutput, BuiltImage, EngineKind};
use crate::assemble::tree::{FileTree, LayerIndex, Unread};
use crate::assemble::{
    AssembleStop, Assembled, AssembledImage, Assembly, BaseImage, LayerSource, Output, Traits,
    TrustLayer, assemble, can_assemble, files, owners, traits, trust,
};
use crate::event::Events;
use crate::image::{Blobs, Unfit};
use crate::oci::ImageConfig;
use crate::oci::layer::WrittenLayer;
use crate::platform::Platform;
use crate::reference::Digest;
use crate::registry::Registries;
use crate::render::{FilesOnBase, PinnedBase, Recipe, late_labels};
use crate::resolve::ResolvedImage;
use crate::resolve::image::{Certificate, Family};
use crate::workspace::fs;
use crate::workspace::state::StateDirectory;
use crate::workspace::user_cache::UserCache;

/// The number of layers of a base that are read in parallel. Each can need the memory of a large
/// index.
const LAYERS_AT_ONCE: usize = 2;
/// The limit for the total memory of the indexes of a base, in bytes.
const INDEXES: u64 = 80 << 20;

/// The embedded engine. Cheap to clone; clones share the results of their work.
#[derive(Debug, Clone)]
pub struct Embedded {
    registries: Registries,
    blobs: Blobs,
    cache: PathBuf,
    /// Indexes of layers. They are in the user's cache and not in the workspace, because no digest
    /// verifies them.
    indexes: UserCache,
    output: Output,
    shared: Arc<RunCache>,
}

/// The layer with the certificates, and the indexes of the base's layers that were read for it.
type PlacedCertificates = (Option<Arc<TrustLayer>>, Vec<Arc<LayerIndex>>);

/// The results that are computed once per run.
#[derive(Debug, Default)]
struct RunCache {
    bases: Memo<BaseImage>,
    indexes: Memo<(Arc<LayerIndex>, Digest)>,
    trust: Memo<PlacedCertificates>,
    traits: Memo<Arc<Traits>>,
    written: Memo<(WrittenLayer, LayerSource)>,
    /// Images of this run by their inputs digest, for images that are built on them.
    assembled: Mutex<BTreeMap<Digest, Arc<Assembled>>>,
}

impl Embedded {
    /// An engine that reads bases from `registries` and stores manifests and configs under `cache`
    /// (`.golden/cache`).
    #[must_use]
    pub fn new(registries: Registries, cache: PathBuf) -> Self {
        let blobs = Blobs::new(registries.clone());
        let (output, shared) = (Output::default(), Arc::default());
        Self {
            registries,
            blobs,
            cache,
            indexes: UserCache::default(),
            output,
            shared,
        }
    }

    /// The same engine with a cache for the indexes of layers.
    #[must_use]
    pub fn with_indexes(self, indexes: UserCache) -> Self {
        Self { indexes, ..self }
    }

    /// The same engine with another output format for images.
    #[must_use]
    pub fn with_output(self, output: Output) -> Self {
        Self { output, ..self }
    }

    /// Reads a small file of the cache. The caller must compare its digest, because the file can be
    /// changed.
    fn read_cached(&self, kind: &str, digest: &Digest) -> Result<Option<Vec<u8>>, Error> {
        let path = self.cache.join(kind).join(digest.hex());
        Ok(fs::if_exists(fs::read_real(&path))?)
    }

    /// Writes a small file to the cache. An error is only logged: the next run then reads the
    /// content again.
    fn write_cached(&self, kind: &str, digest: &Digest, bytes: &[u8]) {
        let write = || {
            StateDirectory::around(&self.cache).make()?;
            fs::write_cached_real(&self.cache.join(kind).join(digest.hex()), bytes)
        };
        if let Err(error) = write() {
            tracing::debug!(%error, "not written to the cache");
        }
    }

    /// The registries from which bases are read.
    pub(crate) const fn registries(&self) -> &Registries {
        &self.registries
    }

    /// Assembles an image for each of its platforms.
    async fn assemble(
        &self,
        recipe: &Recipe,
        options: &BuildOptions,
        events: &Events,
    ) -> Result<Assembled, Error> {
        can_assemble(&recipe.image).map_err(crate::assemble::Error::from)?;
        let platforms = match recipe.image.platforms.as_slice() {
            [] => vec![Platform::host()],
            platforms => platforms.to_vec(),
        };
        let assemble_for = |platform: Platform| async move {
            let base = self.base_of(recipe, options, &platform).await?;
            self.assemble_on(recipe, options.parent_digest(), &base, events)
                .await
        };
        Ok(Assembled::new(
            futures_util::future::try_join_all(platforms.into_iter().map(assemble_for)).await?,
        ))
    }

    /// The base of a recipe for one platform. Fails if the base does not exist, is not available
    /// for the platform, or is only in a Docker Engine.
    pub async fn base_of(
        &self,
        recipe: &Recipe,
        options: &BuildOptions,
        platform: &Platform,
    ) -> Result<BaseImage, Error> {
        match &recipe.base {
            PinnedBase::Scratch => Ok(BaseImage::scratch(platform)),
            PinnedBase::Registry {
                reference, digest, ..
            } => self.base(reference, digest, platform).await,
            PinnedBase::Layout(layout) => {
                base::of_assembled(&layout_image(layout, platform).await?)
            }
            PinnedBase::Local { reference, .. } => Err(Error::LocalBase {
                reference: reference.to_string(),
            }),
            PinnedBase::Workspace { parent, inputs } => {
                if let Some(assembled) = self.assembled(inputs) {
                    return of_platform(&assembled, parent, platform);
                }
                let published = options.published_parent.as_ref();
                match published.and_then(|parent| Some((parent, parent.digest.as_ref()?))) {
                    Some((reference, digest)) => self.base(reference, digest, platform).await,
                    None => Err(Error::ParentMissing {
                        parent: parent.clone(),
                    }),
                }
            }
        }
    }

    /// The traits of a base that is not an image of this workspace. They are read once per run,
    /// from all layers of the base. Fails if the base cannot be read.
    pub async fn traits(
        &self,
        base: &PinnedBase,
        platform: Option<&Platform>,
        name: &str,
        events: &Events,
    ) -> Result<Arc<Traits>, Error> {
        let platform = platform.cloned().unwrap_or_else(Platform::host);
        let base = match base {
            PinnedBase::Scratch => BaseImage::scratch(&platform),
            PinnedBase::Registry {
                reference, digest, ..
            } => self.base(reference, digest, &platform).await?,
            PinnedBase::Layout(layout) => {
                base::of_assembled(&layout_image(layout, &platform).await?)?
            }
            PinnedBase::Local { reference, .. } => {
                return Err(Error::LocalBase {
                    reference: reference.to_string(),
                });
            }
            PinnedBase::Workspace { parent, .. } => {
                return Err(Error::ParentMissing {
                    parent: parent.clone(),
                });
            }
        };
        let key: Vec<String> = base
            .layers
            .iter()
            .map(|layer| layer.descriptor.digest.to_string())
            .collect();
        let work = async {
            let seen = self
                .read_for(&base, &mut Vec::new(), name, events, traits)
                .await?;
            Ok(Arc::new(seen))
        };
        self.shared.traits.get(key.join("\n"), work).await
    }

    /// Stores an image of this run for the images that are built on it.
    pub(super) fn remember(&self, recipe: &Recipe, assembled: &Assembled) {
        let mut all = self
            .shared
            .assembled
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.insert(recipe.inputs.clone(), Arc::new(assembled.clone()));
    }

    /// The image of this run with these inputs.
    fn assembled(&self, inputs: &Digest) -> Option<Arc<Assembled>> {
        self.shared
            .assembled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(inputs)
            .cloned()
    }

    /// Assembles an image on one base.
    async fn assemble_on(
        &self,
        recipe: &Recipe,
        parent: Option<&Digest>,
        base: &BaseImage,
        events: &Events,
    ) -> Result<AssembledImage, Error> {
        let (image, late) = (&recipe.image, late_labels(recipe, parent));
        let name = image.display();
        let (trust, mut indexes) = if image.certificates.is_empty() {
            (None, Vec::new())
        } else {
            self.trust(image.family, &image.certificates, base, &name, events)
                .await?
        };
        let work =
            |tree: FileTree<'_>| assemble(image, &late, base, tree, trust.as_deref(), self.output);
        let mut assembly = self
            .read_for(base, &mut indexes, &name, events, work)
            .await?;
        let layers = std::mem::take(&mut assembly.layers);
        self.write(assembly, layers).await
    }

    /// The files of an image at their final paths on a base.
    pub(super) async fn files_on(
        &self,
        image: &ResolvedImage,
        base: &BaseImage,
        events: &Events,
    ) -> Result<FilesOnBase, Error> {
        let work = |tree: FileTree<'_>| files::placed(image, tree);
        self.read_for(base, &mut Vec::new(), &image.display(), events, work)
            .await
    }

    /// The user ID of a user in the image's /etc/passwd; `None` if the file does not list the user.
    /// Fails if a layer cannot be read.
    pub async fn user_id(
        &self,
        image: &BaseImage,
        user: &str,
        name: &str,
        events: &Events,
    ) -> Result<Option<u32>, Error> {
        let work = |tree: FileTree<'_>| owners::user_id(tree, user);
        self.read_for(image, &mut Vec::new(), name, events, work)
            .await
    }

    /// As [`Embedded::user_id`], for an image of this run.
    pub async fn user_id_of(
        &self,
        image: &AssembledImage,
        user: &str,
        name: &str,
        events: &Events,
    ) -> Result<Option<u32>, Error> {
        self.user_id(&base::of_assembled(image)?, user, name, events)
            .await
    }

    /// The layer with an image's certificates, and the indexes that were read for it. It is created
    /// once per run for all images with the same base and the same certificates.
    async fn trust(
        &self,
        family: Family,
        certificates: &[Certificate],
        base: &BaseImage,
        name: &str,
        events: &Events,
    ) -> Result<PlacedCertificates, Error> {
        let layers = base
            .layers
            .iter()
            .map(|layer| layer.descriptor.digest.to_string());
        let trusted = certificates
            .iter()
            .map(|one| format!("{} {}", one.name, one.pem));
        let key: Vec<String> = layers
            .chain([family.as_str().to_owned()])
            .chain(trusted)
            .collect();
        let work = async {
            let mut indexes = Vec::new();
            let work = |tree: FileTree<'_>| trust(family, certificates, tree);
            let trust = self
                .read_for(base, &mut indexes, name, events, work)
                .await?;
            Ok::<_, Error>((Some(Arc::new(trust)), indexes))
        };
        self.shared.trust.get(key.join("\n"), work).await
    }

    /// Calls `work` until it has everything that it needs of the base. Layers are read from the
    /// top, and only as many as `work` requires.
    async fn read_for<T>(
        &self,
        base: &BaseImage,
        indexes: &mut Vec<Arc<LayerIndex>>,
        name: &str,
        events: &Events,
        work: impl Fn(FileTree<'_>) -> Result<T, AssembleStop>,
    ) -> Result<T, Error> {
        let diff_ids = base.config.diff_ids().unwrap_or_default();
        let mut wanted = BTreeSet::new();
        loop {
            let left = base.layers.len() - indexes.len();
            let needed = match work(FileTree {
                layers: indexes,
                complete: left == 0,
            }) {
                Ok(done) => return Ok(done),
                Err(AssembleStop::Refused(error)) => return Err(error.into()),
                Err(AssembleStop::Unread(Unread::Layer)) => 1,
                Err(AssembleStop::Unread(Unread::Layers)) => left,
                Err(AssembleStop::Unread(Unread::Content(path))) => {
                    self.read_content(path, &mut wanted, base, indexes, name, events)
                        .await?;
                    continue;
                }
            };
            let next = base.layers[..left].iter().zip(&diff_ids).rev().take(needed);
            let read: Vec<_> = next
                .map(|(layer, id)| self.index(layer, id, &wanted, name, events))
                .collect();
            let read = stream::iter(read);
            let mut read = read.buffered(LAYERS_AT_ONCE);
            while let Some(index) = read.try_next().await? {
                indexes.push(index);
                if indexes.iter().map(|index| index.weight()).sum::<u64>() > INDEXES {
                    let what = "its layers have more names and certificates than golden can hold in memory";
                    return Err(crate::assemble::Error::Base(what.to_owned()).into());
                }
            }
        }
    }

    /// Reads the layer with the file `path` again, this time with the content of the file.
    async fn read_content(
        &self,
        path: String,
        wanted: &mut BTreeSet<String>,
        base: &BaseImage,
        indexes: &mut [Arc<LayerIndex>],
        image: &str,
        events: &Events,
    ) -> Result<(), Error> {
        if !wanted.insert(path.clone()) {
            let what = format!("/{path} is too large to be part of a trust store");
            return Err(crate::assemble::Error::Base(what).into());
        }
        let diff_ids = base.config.diff_ids().unwrap_or_default();
        for (index, (layer, diff_id)) in indexes
            .iter_mut()
            .zip(base.layers.iter().zip(&diff_ids).rev())
        {
            if index.entries.contains_key(&path) {
                *index = self.index(layer, diff_id, wanted, image, events).await?;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Writes the new layers and finishes the image.
    async fn write(
        &self,
        assembly: Assembly,
        layers: Vec<crate::assemble::NewLayer>,
    ) -> Result<AssembledImage, Error> {
        let mut written = Vec::new();
        for layer in layers {
            let (layer_written, source) = self.layer(layer.entries, assembly.mtime).await?;
            written.push((layer_written, source, layer.created_by));
        }
        Ok(assembly.finish(written))
    }
}

impl Embedded {
    /// Builds an image and sends its progress to `events`. Dropping the future cancels the build.
    ///
    /// # Errors
    ///
    /// Fails if the engine cannot be reached, lacks a feature that the recipe needs, or if the
    /// build itself fails.
    pub async fn build(
        &self,
        recipe: &Recipe,
        options: &BuildOptions,
        events: &Events,
    ) -> Result<BuiltImage, super::Error> {
        let assembled = self.assemble(recipe, options, events).await?;
        let config = ImageConfig::parse(&assembled.images[0].config)
            .unwrap_or_else(|error| unreachable!("golden created this config: {error}"));
        if !options.childless {
            self.remember(recipe, &assembled);
        }
        Ok(BuiltImage {
            inputs: recipe.inputs.clone(),
            engine: EngineKind::Embedded,
            platforms: assembled
                .images
                .iter()
                .map(|image| image.platform.clone())
                .collect(),
            config,
            output: BuildOutput::Assembled(assembled),
        })
    }
}

/// Converts an image of this run to a base for a platform.
fn of_platform(
    assembled: &Assembled,
    parent: &str,
    platform: &Platform,
) -> Result<BaseImage, Error> {
    if let Some(image) = assembled
        .images
        .iter()
        .find(|image| image.platform == *platform)
    {
        return base::of_assembled(image);
    }
    let has: Vec<String> = assembled
        .images
        .iter()
        .map(|image| image.platform.to_string())
        .collect();
    let (reference, has) = (parent.to_owned(), has.join(", "));
    let wanted = platform.clone();
    Err(Error::Unfit {
        reference,
        unfit: Unfit::Platform { wanted, has },
    })
}

impl From<Error> for super::Error {
    fn from(error: Error) -> Self {
        Self::Embedded(error)
    }
}
