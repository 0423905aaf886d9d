//! The OCI image layout: a directory of blobs by digest (OCI image spec, image-layout.md).

mod oci;
mod read;

pub(super) use oci::image as to_oci;
pub use read::LayoutReader;

use std::fs::TryLockError;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::Error;
use super::named::NamedImage;
use crate::assemble::Layer;
use crate::event::Events;
use crate::image::Blobs;
use crate::oci::layout::REF_NAME;
use crate::oci::{RawManifest, media};
use crate::reference::{Digest, Hasher, Reference};
use crate::registry::BlobSource as _;
use crate::workspace::fs::{self, UnfinishedFile};

/// The number of layers that are fetched in parallel.
const PARALLEL: usize = 4;

/// Writes images to a layout, which is created if it does not exist. Each image gets one entry in
/// `index.json` with the name `name`, or `NAME:TAG` with its most specific tag. It replaces an
/// entry of the same name. Docker manifests are converted to OCI manifests, which have a different
/// digest. Blobs are written first, so that the index never refers to a missing blob. The index is
/// read and written under a lock, so that two processes that write to the same layout keep each
/// other's entries. `directory` must be canonical: fails if it has been replaced by a symbolic link.
/// Returns the names of the entries.
pub async fn write(
    directory: &Path,
    name: Option<&str>,
    images: &[NamedImage<'_>],
    blobs: &Blobs,
    events: &Events,
) -> Result<Vec<String>, Error> {
    read_index(directory)?;
    let blobs_directory = directory.join("blobs/sha256");
    [directory, &blobs_directory]
        .into_iter()
        .for_each(fs::sweep);
    let mut entries = Vec::new();
    for NamedImage { image, references } in images {
        let mut layers: Vec<Layer> = Vec::new();
        for one in &image.images {
            layers.extend(one.layers.iter().cloned());
        }
        let directory = &blobs_directory;
        let transfers =
            stream::iter(layers).map(async move |layer| transfer(directory, &layer, blobs).await);
        transfers
            .buffer_unordered(PARALLEL)
            .try_collect::<()>()
            .await?;
        let image = to_oci(image)?;
        for one in &image.images {
            keep(&blobs_directory, &Digest::of(&one.config), &one.config)?;
            keep(&blobs_directory, &one.manifest.digest, &one.manifest.bytes)?;
        }
        keep(&blobs_directory, &image.top.digest, &image.top.bytes)?;
        if let Some(reference) = references.first() {
            let name = name.map_or_else(|| name_of(reference), str::to_owned);
            let entry = entry(&image.top, &name, reference);
            entries.push((name, entry));
        }
    }
    let mut written = Vec::new();
    fs::create_real(directory).map_err(|source| Error::File {
        path: directory.to_owned(),
        source,
    })?;
    let _lock = lock(directory, events).await;
    let mut index = read_index(directory)?;
    for (name, entry) in entries {
        enter(&mut index, &name, entry);
        written.push(name);
    }
    fs::write_atomic_real(
        &directory.join("oci-layout"),
        br#"{"imageLayoutVersion":"1.0.0"}"#,
    )?;
    fs::write_atomic_real(&directory.join("index.json"), index.to_string().as_bytes())?;
    Ok(written)
}

/// The time between two attempts to get the lock.
const RETRY: Duration = Duration::from_millis(50);

/// Locks a directory until the returned file is dropped. Reports once if another process holds the
/// lock. If directories cannot be locked (Windows, some network file systems), no lock is taken.
async fn lock(directory: &Path, events: &Events) -> Option<std::fs::File> {
    let file = std::fs::File::open(directory).ok()?;
    let mut is_reported = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Some(file),
            Err(TryLockError::Error(_)) => return None,
            Err(TryLockError::WouldBlock) => {}
        }
        if !std::mem::replace(&mut is_reported, true) {
            let waits = format!(
                "waiting for another process that writes into {}",
                directory.display()
            );
            events.note(None, waits);
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Reads the index of an existing layout, or creates a new one. Refuses a directory with other
/// content.
fn read_index(directory: &Path) -> Result<Value, Error> {
    let refuse = |what: &str| Error::Layout {
        path: directory.to_owned(),
        what: what.to_owned(),
    };
    if fs::read_if_exists(&directory.join("oci-layout"))?.is_none() {
        let mut entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(new_index()),
            Err(source) => {
                return Err(Error::File {
                    path: directory.to_owned(),
                    source,
                });
            }
        };
        // An interrupted first run leaves a layout without the file oci-layout.
        let is_foreign = |name: &str| {
            !["blobs", "index.json"].contains(&name) && !name.starts_with(fs::UNFINISHED)
        };
        if entries
            .any(|entry| entry.is_ok_and(|entry| is_foreign(&entry.file_name().to_string_lossy())))
        {
            return Err(refuse("it is not empty and has no file oci-layout"));
        }
    }
    let Some(bytes) = fs::read_if_exists(&directory.join("index.json"))? else {
        return Ok(new_index());
    };
    let index: Value =
        serde_json::from_slice(&bytes).map_err(|error| refuse(&format!("index.json: {error}")))?;
    if index.get("manifests").is_some_and(Value::is_array) {
        Ok(index)
    } else {
        Err(refuse("index.json has no list of manifests"))
    }
}

fn new_index() -> Value {
    json!({ "schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": [] })
}

/// `NAME:TAG` without the host: the part after `oci:DIR:`.
fn name_of(reference: &Reference) -> String {
    match &reference.tag {
        Some(tag) => format!("{}:{tag}", reference.repository.path),
        None => reference.repository.path.to_string(),
    }
}

/// The index entry of an image. containerd reads the second annotation.
fn entry(top: &RawManifest, name: &str, reference: &Reference) -> Value {
    let mut descriptor = top.descriptor();
    descriptor
        .annotations
        .insert(REF_NAME.to_owned(), name.to_owned());
    descriptor
        .annotations
        .insert("io.containerd.image.name".to_owned(), reference.to_string());
    serde_json::to_value(descriptor)
        .unwrap_or_else(|error| unreachable!("all keys of a descriptor are strings: {error}"))
}

/// Replaces the entry with the same name, or inserts the entry in the order of names.
fn enter(index: &mut Value, name: &str, entry: Value) {
    let Some(entries) = index.get_mut("manifests").and_then(Value::as_array_mut) else {
        unreachable!("an index without a list was refused when it was read");
    };
    entries.retain(|entry| entry["annotations"][REF_NAME] != name);
    let at = entries.partition_point(|entry| {
        entry["annotations"][REF_NAME].as_str().unwrap_or_default() < name
    });
    entries.insert(at, entry);
}

/// Writes a small blob unless it already exists with the right content.
fn keep(blobs_directory: &Path, digest: &Digest, bytes: &[u8]) -> Result<(), Error> {
    let path = blobs_directory.join(digest.hex());
    if size(&path) == Some(bytes.len() as u64) && fs::read(&path)? == bytes {
        return Ok(());
    }
    Ok(fs::write_atomic_real(&path, bytes)?)
}

/// The size of an existing blob.
fn size(path: &Path) -> Option<u64> {
    std::fs::metadata(path)
        .ok()
        .filter(std::fs::Metadata::is_file)
        .map(|file| file.len())
}

/// Fetches a layer unless it exists. Content with a wrong digest or size is discarded.
async fn transfer(blobs_directory: &Path, layer: &Layer, blobs: &Blobs) -> Result<(), Error> {
    let digest = &layer.descriptor.digest;
    // A layout has one directory per algorithm. golden writes only sha256, but a base may use
    // others.
    let blobs_directory = blobs_directory.with_file_name(digest.algorithm());
    let path = blobs_directory.join(digest.hex());
    if size(&path) == Some(layer.descriptor.size) {
        return Ok(());
    }
    let file = |path: &Path| {
        let path: PathBuf = path.to_owned();
        move |source| Error::File { path, source }
    };
    let failed = |source| Error::Layer {
        digest: digest.to_string(),
        source,
    };
    let unfinished = UnfinishedFile::in_real(&blobs_directory).map_err(file(&blobs_directory))?;
    let handle = unfinished.as_file().try_clone().map_err(file(&path))?;
    let mut out = tokio::fs::File::from_std(handle);
    let mut reader = blobs.source(layer).open(0).await.map_err(failed)?;
    let (mut hash, mut count, mut buffer) = (Hasher::of(digest), 0, vec![0; 128 << 10]);
    loop {
        let read = reader.read(&mut buffer).await.map_err(failed)?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
        count += read as u64;
        out.write_all(&buffer[..read]).await.map_err(file(&path))?;
    }
    out.flush().await.map_err(file(&path))?;
    if count != layer.descriptor.size || !hash.matches(digest) {
        return Err(failed(std::io::Error::other(
            "its content does not match its digest",
        )));
    }
    unfinished.share().map_err(file(&path))?;
    unfinished
        .persist(digest.hex().as_ref())
        .map_err(file(&path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_entry_replaces_the_entry_of_the_same_name() {
        let mut index = new_index();
        let entry =
            |name: &str, digest: &str| json!({"digest": digest, "annotations": {REF_NAME: name}});
        for (name, digest) in [("b:1", "x"), ("a:1", "y"), ("b:1", "z")] {
            enter(&mut index, name, entry(name, digest));
        }
        assert_eq!(
            index["manifests"],
            json!([entry("a:1", "y"), entry("b:1", "z")])
        );
    }

    #[test]
    fn directories_with_other_content_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read_index(dir.path()).is_ok());
        assert!(read_index(&dir.path().join("new")).is_ok());
        fs::write_atomic(&dir.path().join("holiday.jpg"), b"").unwrap();
        assert!(matches!(read_index(dir.path()), Err(Error::Layout { .. })));
    }
}
