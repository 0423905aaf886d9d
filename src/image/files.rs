//! Reads the files of an image. Each layer is read once; its files are then in the user's cache,
//! under the digest of the layer.

use std::io::{self, Read as _};
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::io::SyncIoBridge;

use super::Blobs;
use crate::assemble::Layer;
use crate::event::{Events, Step};
use crate::inventory::{LayerFiles, LayerOwner, Merged};
use crate::reference::Digest;
use crate::registry::BlobSource as _;
use crate::workspace::user_cache::UserCache;

/// The version of the cached form, and of the rules that it depends on.
const SCHEMA: u32 = 5;
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
    ) -> Result<Merged, LayerError> {
        let read = stream::iter(layers.to_vec())
            .map(async |(layer, owner)| Ok((self.layer(&layer, image, events).await?, owner)));
        let mut merged = Merged::default();
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
    ) -> Result<LayerFiles, LayerError> {
        let (digest, size) = (&layer.descriptor.digest, layer.descriptor.size);
        if let Some(files) = self.cached(digest) {
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
        let bridge = SyncIoBridge::new(reader);
        let read = tokio::task::spawn_blocking(move || LayerFiles::read(bridge, size)).await;
        let files = read.map_err(io::Error::other).flatten().map_err(failed)?;
        match packed(&files) {
            Ok(bytes) => self.cache.write(file(digest), &bytes),
            Err(error) => tracing::debug!(%error, "not written to the cache"),
        }
        Ok(files)
    }

    fn cached(&self, digest: &Digest) -> Option<LayerFiles> {
        unpacked(&self.cache.read(file(digest))?)
    }
}

/// The path of a layer in the cache.
fn file(layer: &Digest) -> PathBuf {
    PathBuf::from("files").join(format!("{}-{}", layer.algorithm(), layer.hex()))
}

fn packed(files: &LayerFiles) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), LEVEL)?;
    let cached = Cached {
        schema: SCHEMA,
        files,
    };
    serde_json::to_writer(&mut encoder, &cached)?;
    encoder.finish()
}

fn unpacked(bytes: &[u8]) -> Option<LayerFiles> {
    let plain = zstd::stream::read::Decoder::new(bytes).ok()?;
    let plain = io::BufReader::new(plain.take(LONGEST));
    let cached: Cached<LayerFiles> = serde_json::from_reader(plain).ok()?;
    (cached.schema == SCHEMA).then_some(cached.files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_is_read_back_from_the_cache_and_damage_is_noticed() {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(2);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        builder
            .append_data(&mut header, "etc/x", b"ab".as_slice())
            .unwrap();
        let tar = builder.into_inner().unwrap();
        let files = LayerFiles::read(tar.as_slice(), tar.len() as u64).unwrap();
        let bytes = packed(&files).unwrap();
        assert_eq!(unpacked(&bytes), Some(files));
        assert_eq!(unpacked(&bytes[..bytes.len() - 3]), None);
        let other = zstd::encode_all(br#"{"schema": 0, "files": {}}"#.as_slice(), 1).unwrap();
        assert_eq!(unpacked(&other), None);
    }
}
