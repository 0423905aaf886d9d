//! Reads the files of an image. Each layer is read once; its files are then in the user's cache,
//! under the digest of the layer.

use std::io::{self, Read as _};
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::Blobs;
use super::ahead::ReadAhead;
use crate::assemble::Layer;
use crate::event::{Events, Step};
use crate::inventory::{HashedFiles, ImageFiles, LayerFiles, LayerOwner, ListedContent};
use crate::reference::Digest;
use crate::registry::BlobSource as _;
use crate::workspace::user_cache::UserCache;

/// The version of the cached form, and of the rules that it depends on.
const SCHEMA: u32 = 7;
/// The compression level of cached files.
const LEVEL: i32 = 1;
/// The largest cached form that is read, uncompressed.
const LONGEST: u64 = 512 << 20;
/// The number of layers that are read in parallel. Each can need the memory of many files.
const LAYERS_AT_ONCE: usize = 2;
/// The number of images whose files are in memory at the same time.
const IMAGES_AT_ONCE: usize = 2;

/// A layer cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the layer {digest} cannot be read: {source}")]
pub struct LayerError {
    /// The digest of the layer.
    pub digest: Digest,
    /// The problem.
    pub source: io::Error,
}

/// Reads the files of images.
#[derive(Debug, Clone)]
pub struct FileReader {
    blobs: Blobs,
    cache: UserCache,
    turns: Arc<Semaphore>,
}

/// The cached form of a layer.
#[derive(Serialize, Deserialize)]
struct Cached<T> {
    schema: u32,
    hashed: HashedFiles,
    files: T,
}

impl FileReader {
    /// Creates a reader with a cache.
    #[must_use]
    pub fn new(blobs: Blobs, cache: UserCache) -> Self {
        Self {
            blobs,
            cache,
            turns: Arc::new(Semaphore::new(IMAGES_AT_ONCE)),
        }
    }

    /// Waits until fewer than `IMAGES_AT_ONCE` images are in memory. The caller keeps the permit
    /// as long as it keeps the files.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed.
        self.turns.acquire().await.ok()
    }

    /// The source of the layers.
    pub(super) const fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    /// The files of the image with these layers, the lowest first. Fails if a layer cannot be read.
    pub async fn merged(
        &self,
        layers: &[(Layer, LayerOwner)],
        image: &str,
        events: &Events,
    ) -> Result<ImageFiles, LayerError> {
        self.hashed(layers, image, events, |_| HashedFiles::All)
            .await
    }

    /// The content that a bill of materials lists, of the image with these layers, the lowest first.
    /// Of the base, only the files that it lists are hashed. Fails if a layer cannot be read.
    pub async fn listed(
        &self,
        layers: &[(Layer, LayerOwner)],
        image: &str,
        events: &Events,
    ) -> Result<ListedContent, LayerError> {
        let Some((top, _)) = layers.last() else {
            return Ok(ListedContent::default());
        };
        let some = |owner| match owner {
            LayerOwner::Base => HashedFiles::Certificates,
            LayerOwner::Image => HashedFiles::All,
        };
        let merged = self.hashed(layers, image, events, some).await?;
        if let Some(content) = merged.listed() {
            return Ok(content);
        }
        drop(merged);
        // A listed file is a hard link to a file that is not listed.
        let merged = self.merged(layers, image, events).await?;
        merged.listed().ok_or_else(|| LayerError {
            digest: top.descriptor.digest.clone(),
            source: io::Error::other("the digests of its files are unknown"),
        })
    }

    async fn hashed(
        &self,
        layers: &[(Layer, LayerOwner)],
        image: &str,
        events: &Events,
        hashed: fn(LayerOwner) -> HashedFiles,
    ) -> Result<ImageFiles, LayerError> {
        let read = stream::iter(layers.to_vec()).map(async |(layer, owner)| {
            let files = self.layer(&layer, image, events, hashed(owner)).await?;
            Ok((files, owner))
        });
        let mut merged = ImageFiles::default();
        let mut read = read.buffered(LAYERS_AT_ONCE);
        while let Some((files, owner)) = read.try_next().await? {
            merged.add(files, owner);
        }
        Ok(merged)
    }

    async fn layer(
        &self,
        layer: &Layer,
        image: &str,
        events: &Events,
        hashed: HashedFiles,
    ) -> Result<LayerFiles, LayerError> {
        let (digest, size) = (&layer.descriptor.digest, layer.descriptor.size);
        if let Some(files) = self.cached(digest, hashed) {
            return Ok(files);
        }
        let failed = |source| LayerError {
            digest: digest.clone(),
            source,
        };
        let step = Step::ReadFiles {
            digest: digest.clone(),
            size,
        };
        events.step(image, step);
        let reader = self.blobs.source(layer).open(0).await.map_err(failed)?;
        let ahead = ReadAhead::start(reader);
        let read = tokio::task::spawn_blocking(move || LayerFiles::read(ahead, size, hashed)).await;
        let files = read.map_err(io::Error::other).flatten().map_err(failed)?;
        match packed(&files, hashed) {
            Ok(bytes) => self.cache.write(file(digest), &bytes),
            Err(error) => tracing::debug!(%error, "not written to the cache"),
        }
        Ok(files)
    }

    fn cached(&self, digest: &Digest, hashed: HashedFiles) -> Option<LayerFiles> {
        unpacked(&self.cache.read(file(digest))?, hashed)
    }
}

/// The path of a layer in the cache.
fn file(layer: &Digest) -> PathBuf {
    PathBuf::from("files").join(format!("{}-{}", layer.algorithm(), layer.hex()))
}

fn packed(files: &LayerFiles, hashed: HashedFiles) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), LEVEL)?;
    let cached = Cached {
        schema: SCHEMA,
        hashed,
        files,
    };
    serde_json::to_writer(&mut encoder, &cached)?;
    encoder.finish()
}

/// The cached files, if at least these were hashed.
fn unpacked(bytes: &[u8], hashed: HashedFiles) -> Option<LayerFiles> {
    let plain = zstd::stream::read::Decoder::new(bytes).ok()?;
    let plain = io::BufReader::new(plain.take(LONGEST));
    let cached: Cached<LayerFiles> = serde_json::from_reader(plain).ok()?;
    (cached.schema == SCHEMA && cached.hashed >= hashed).then_some(cached.files)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use futures_util::FutureExt as _;

    use super::*;
    use crate::assemble::LayerSource;
    use crate::inventory;
    use crate::oci::Descriptor;
    use crate::registry::{Registries, RegistryEnv};

    /// The digest of the cached content of a sample, with the version of the rules that made it.
    const SAMPLE: (u32, &str) = (
        7,
        "sha256:f000028f5bdd89f4d4303f3fe9118c3586359c3de629620cadcad6117a5fbed8",
    );

    /// An uncompressed layer with one entry: a file, or a hard link if `link` is a path.
    fn layer(path: &str, content: &[u8], link: Option<&str>) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        match link {
            Some(target) => {
                header.set_entry_type(tar::EntryType::Link);
                builder.append_link(&mut header, path, target).unwrap();
            }
            None => builder.append_data(&mut header, path, content).unwrap(),
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn the_schema_changes_with_the_content_that_is_read() {
        let tar = inventory::tests::sample();
        let some = HashedFiles::Certificates;
        let files = LayerFiles::read(tar.as_slice(), tar.len() as u64, some).unwrap();
        let found = Digest::of(&serde_json::to_vec(&files).unwrap());
        assert_eq!(
            (SCHEMA, found.as_str()),
            SAMPLE,
            "layers are read in another way: increase SCHEMA, and change SAMPLE"
        );
    }

    #[tokio::test]
    async fn a_certificate_that_is_a_link_to_a_file_of_the_base_is_listed() {
        let certificate = "usr/local/share/ca-certificates/a.crt";
        let read = async |layers: [(Vec<u8>, LayerOwner); 3]| {
            let env = RegistryEnv::from_vars(&BTreeMap::new());
            let blobs = Blobs::new(Registries::new(Vec::new(), env));
            let reader = FileReader::new(blobs, UserCache::default());
            let (events, mut sent) = Events::channel();
            let layers = layers.map(|(tar, owner)| {
                let descriptor = Descriptor::of("", &tar);
                let source = LayerSource::Inline(tar.into());
                (Layer { descriptor, source }, owner)
            });
            let content = reader.listed(&layers, "a", &events).await.unwrap();
            let reads = std::iter::from_fn(|| sent.try_recv().ok()).count();
            (content.files, reads)
        };
        let base = || (layer("usr/lib/x", b"1", None), LayerOwner::Base);
        let own = || (layer("srv/y", b"2", None), LayerOwner::Image);
        let own_file = ("srv/y".to_owned(), Digest::of(b"2"));
        let listed = (certificate.to_owned(), Digest::of(b"1"));
        let all = vec![own_file, listed];
        let file = (layer(certificate, b"1", None), LayerOwner::Base);
        assert_eq!(read([base(), file, own()]).await, (all.clone(), 3));
        // Its content is in a file that is not listed, so each layer is read a second time.
        let link = layer(certificate, b"", Some("usr/lib/x"));
        let link = (link, LayerOwner::Base);
        assert_eq!(read([base(), link, own()]).await, (all, 6));
    }

    #[test]
    fn a_layer_is_read_back_from_the_cache_unless_it_is_damaged() {
        let tar = layer("etc/x", b"ab", None);
        let (all, some) = (HashedFiles::All, HashedFiles::Certificates);
        let read = |hashed| LayerFiles::read(tar.as_slice(), tar.len() as u64, hashed).unwrap();
        let files = read(all);
        let bytes = packed(&files, all).unwrap();
        assert_eq!(unpacked(&bytes, all), Some(files.clone()));
        assert_eq!(unpacked(&bytes, some), Some(files));
        assert_eq!(unpacked(&bytes[..bytes.len() - 3], all), None);
        let files = read(some);
        let bytes = packed(&files, some).unwrap();
        assert_eq!(unpacked(&bytes, all), None);
        assert_eq!(unpacked(&bytes, some), Some(files));
        let other = br#"{"schema": 0, "hashed": "All", "files": {}}"#;
        let other = zstd::encode_all(other.as_slice(), 1).unwrap();
        assert_eq!(unpacked(&other, all), None);
    }

    #[tokio::test]
    async fn the_files_of_two_images_are_in_memory_at_once() {
        let env = RegistryEnv::from_vars(&BTreeMap::new());
        let blobs = Blobs::new(Registries::new(Vec::new(), env));
        let reader = FileReader::new(blobs, UserCache::default());
        let (first, second) = (reader.turn().await, reader.turn().await);
        assert!(first.is_some() && second.is_some());
        assert!(reader.turn().now_or_never().is_none());
        drop(first);
        assert!(reader.turn().await.is_some());
    }
}
