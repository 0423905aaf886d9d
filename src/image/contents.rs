//! Reads the content of some files of an image, by their digest.

use std::collections::BTreeMap;
use std::io::{self, Read};

use super::FileReader;
use super::ahead::ReadAhead;
use super::files::LayerError;
use crate::assemble::Layer;
use crate::oci::extended::HeaderLimiter;
use crate::oci::unpacked::UnpackedLayer;
use crate::reference::Digest;
use crate::registry::BlobSource as _;

impl FileReader {
    /// The contents of the files with these digests and sizes. The layers are the lowest first; they
    /// are read from the top until every file is found. Fails if a layer cannot be read.
    pub async fn contents(
        &self,
        layers: &[Layer],
        wanted: BTreeMap<Digest, u64>,
    ) -> Result<BTreeMap<Digest, Vec<u8>>, LayerError> {
        let mut found = BTreeMap::new();
        let mut wanted = wanted;
        for layer in layers.iter().rev() {
            if wanted.is_empty() {
                break;
            }
            let digest = &layer.descriptor.digest;
            let failed = |source| LayerError {
                digest: digest.clone(),
                source,
            };
            let reader = self.blobs().source(layer).open(0).await.map_err(failed)?;
            let (ahead, size) = (ReadAhead::start(reader), layer.descriptor.size);
            let open = wanted.clone();
            let read = tokio::task::spawn_blocking(move || read(ahead, size, &open)).await;
            let read = read.map_err(io::Error::other).flatten().map_err(failed)?;
            wanted.retain(|digest, _| !read.contains_key(digest));
            found.extend(read);
        }
        Ok(found)
    }
}

/// The wanted contents that a layer of `size` compressed bytes has.
fn read(
    layer: impl Read,
    size: u64,
    wanted: &BTreeMap<Digest, u64>,
) -> io::Result<BTreeMap<Digest, Vec<u8>>> {
    let mut plain = UnpackedLayer::open(layer, size)?;
    let mut found = BTreeMap::new();
    let mut archive = tar::Archive::new(HeaderLimiter::new(&mut plain));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let length = entry.size();
        if !wanted.values().any(|size| *size == length) {
            continue;
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        let digest = Digest::of(&bytes);
        if wanted.contains_key(&digest) {
            found.insert(digest, bytes);
        }
    }
    // The stream is read to its end, because its digest is checked there.
    io::copy(&mut plain, &mut io::sink())?;
    plain.finish()?;
    Ok(found)
}
