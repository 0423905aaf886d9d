//! Writing new layers: small ones into memory, large ones into the cache, equal ones once.

use std::fs::File;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::{Embedded, Error};
use crate::assemble::LayerSource;
use crate::oci::Content;
use crate::oci::layer::{self, Compression, WrittenLayer};
use crate::oci::tar::{Entry, EntryKind};
use crate::reference::Digest;

/// Compressed layers up to this size stay in memory; a thousand of them are no burden.
const SMALL: u64 = 8 << 10;

impl Embedded {
    /// Writes a layer, unless this run has written the same one.
    pub(super) async fn layer(
        &self,
        entries: Vec<Entry>,
        mtime: u64,
    ) -> Result<(WrittenLayer, LayerSource), Error> {
        let key = key(&entries, mtime);
        let (folder, compression) = (self.cache.join("blobs"), self.output.compression);
        let work = async {
            let write = move || write(&entries, mtime, compression, &folder);
            match tokio::task::spawn_blocking(write).await {
                Ok(result) => result,
                Err(stopped) => Err(at(&self.cache)(std::io::Error::other(stopped))),
            }
        };
        self.shared.written.get(key, work).await
    }
}

/// An error about a file.
fn at(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { path, source }
}

/// Writes a layer into a file of the cache; a small one is read back and the file dropped.
fn write(
    entries: &[Entry],
    mtime: u64,
    compression: Compression,
    folder: &Path,
) -> Result<(WrittenLayer, LayerSource), Error> {
    let content: u64 = entries.iter().map(size).sum();
    let open = |path: &Path| File::open(path).map_err(|error| named(path, &error));
    if content <= SMALL {
        let (layer, bytes) =
            layer::write(entries, mtime, compression, Vec::new(), open).map_err(at(folder))?;
        return Ok((layer, LayerSource::Inline(bytes.into())));
    }
    std::fs::create_dir_all(folder).map_err(at(folder))?;
    let file = tempfile::Builder::new().prefix(".golden-").tempfile_in(folder).map_err(at(folder))?;
    let out = std::io::BufWriter::with_capacity(64 << 10, file);
    let (layer, out) = layer::write(entries, mtime, compression, out, open).map_err(at(folder))?;
    let file = out.into_inner().map_err(|error| at(folder)(error.into_error()))?;
    let place = folder.join(layer.digest.hex());
    file.persist(&place).map_err(|error| at(&place)(error.error))?;
    Ok((layer, LayerSource::File(place)))
}

/// The error of a file that is part of a layer, with its name.
fn named(path: &Path, error: &std::io::Error) -> std::io::Error {
    std::io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// The length of an entry's content.
fn size(entry: &Entry) -> u64 {
    match &entry.kind {
        EntryKind::File(content) => content.len(),
        EntryKind::Archive(_) | EntryKind::Directory | EntryKind::Symlink(_) => 0,
    }
}

/// What decides a layer's bytes, without writing it.
fn key(entries: &[Entry], mtime: u64) -> String {
    let mut hash = Sha256::new();
    hash.update(mtime.to_le_bytes());
    for Entry { path, mode, uid, gid, kind } in entries {
        let what = match kind {
            EntryKind::File(content) => format!("f{}", content.digest()),
            EntryKind::Directory => "d".to_owned(),
            EntryKind::Symlink(target) => format!("l{target}"),
            EntryKind::Archive(inner) => format!("a{}", key(inner, mtime)),
        };
        // A file is named too: two equal ones may change apart while they are read.
        let from = match kind {
            EntryKind::File(Content::File { path, .. }) => path.clone(),
            _ => PathBuf::new(),
        };
        hash.update(format!("{path}\0{mode}\0{uid}\0{gid}\0{what}\0{}\0\0", from.display()));
    }
    Digest::from_sha256(&hash.finalize()).to_string()
}
