//! The OCI image layout: a directory of blobs by digest (OCI image spec, image-layout.md).

mod oci;
mod read;

pub use read::LayoutReader;

use std::fs::TryLockError;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::registry::hash::Hasher;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::destination::NamedImage;
use super::{Blobs, Error};
use crate::assemble::Layer;
use crate::event::Events;
use crate::oci::layout::REF_NAME;
use crate::oci::{RawManifest, media};
use crate::reference::{Digest, Reference};
use crate::registry::BlobSource as _;
use crate::workspace::fs;

/// How many layers are fetched at a time.
const PARALLEL: usize = 4;

/// Writes images into a layout, which is made when there is none. Each image is one entry of `index.json`, named
/// `name`, or `NAME:TAG` by its most specific tag; an entry of that name is replaced. Docker's manifests become OCI's here, with a
/// digest of their own. Blobs come first, so that nothing is named
/// that is not there. The index is read and written under a lock, so that two who write into the same layout at the same
/// time lose none of each other's entries.
pub async fn write(
    directory: &Path,
    name: Option<&str>,
    images: &[NamedImage<'_>],
    blobs: &Blobs,
    events: &Events,
) -> Result<Vec<String>, Error> {
    read_index(directory)?;
    let folder = directory.join("blobs/sha256");
    [directory, &folder].into_iter().for_each(fs::sweep);
    let mut entries = Vec::new();
    for NamedImage { image, references } in images {
        let layers = image.images.iter().flat_map(|image| &image.layers);
        let transfers = stream::iter(layers).map(|layer| transfer(&folder, layer, blobs));
        transfers
            .buffer_unordered(PARALLEL)
            .try_collect::<()>()
            .await?;
        let image = oci::image(image)?;
        for one in &image.images {
            keep(&folder, &Digest::of(&one.config), &one.config)?;
            keep(&folder, &one.manifest.digest, &one.manifest.bytes)?;
        }
        keep(&folder, &image.top.digest, &image.top.bytes)?;
        if let Some(reference) = references.first() {
            let name = name.map_or_else(|| name_of(reference), str::to_owned);
            let entry = entry(&image.top, &name, reference);
            entries.push((name, entry));
        }
    }
    let mut written = Vec::new();
    std::fs::create_dir_all(directory).map_err(|source| Error::File {
        path: directory.to_owned(),
        source,
    })?;
    let _held = lock(directory, events).await;
    let mut index = read_index(directory)?;
    for (name, entry) in entries {
        enter(&mut index, &name, entry);
        written.push(format!("oci:{}:{name}", directory.display()));
    }
    fs::write_atomic(
        &directory.join("oci-layout"),
        br#"{"imageLayoutVersion":"1.0.0"}"#,
    )?;
    fs::write_atomic(&directory.join("index.json"), index.to_string().as_bytes())?;
    Ok(written)
}

/// How often a lock that another process holds is tried.
const RETRY: Duration = Duration::from_millis(50);

/// Locks a directory until what is returned is dropped, and says so if another process holds the lock. Where directories
/// cannot be locked (Windows, some network file systems), nobody waits.
async fn lock(directory: &Path, events: &Events) -> Option<std::fs::File> {
    let file = std::fs::File::open(directory).ok()?;
    let mut is_told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Some(file),
            Err(TryLockError::Error(_)) => return None,
            Err(TryLockError::WouldBlock) => {}
        }
        if !std::mem::replace(&mut is_told, true) {
            let waits = format!(
                "waiting for another process that writes into {}",
                directory.display()
            );
            events.note(None, waits);
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// The index of a layout that is there, or a new one. A folder with anything else in it is left alone.
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
        // What an interrupted first run left is a layout in the making.
        let strange = |name: &str| {
            !["blobs", "index.json"].contains(&name) && !name.starts_with(fs::UNFINISHED)
        };
        if entries
            .any(|entry| entry.is_ok_and(|entry| strange(&entry.file_name().to_string_lossy())))
        {
            return Err(refuse("it has no oci-layout file, and is not empty"));
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
        Err(refuse("index.json lists no manifests"))
    }
}

/// An index without images.
fn new_index() -> Value {
    json!({ "schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": [] })
}

/// `NAME:TAG`, without the host: what follows `oci:DIR:`.
fn name_of(reference: &Reference) -> String {
    match &reference.tag {
        Some(tag) => format!("{}:{tag}", reference.repository.path),
        None => reference.repository.path.to_string(),
    }
}

/// The line of an image. containerd reads the second annotation.
fn entry(top: &RawManifest, name: &str, reference: &Reference) -> Value {
    let mut descriptor = top.descriptor();
    descriptor
        .annotations
        .insert(REF_NAME.to_owned(), name.to_owned());
    descriptor
        .annotations
        .insert("io.containerd.image.name".to_owned(), reference.to_string());
    serde_json::to_value(descriptor)
        .unwrap_or_else(|error| unreachable!("a descriptor is JSON: {error}"))
}

/// Puts the line in the place of the one with its name, or at its place in the order of names.
fn enter(index: &mut Value, name: &str, line: Value) {
    let Some(lines) = index.get_mut("manifests").and_then(Value::as_array_mut) else {
        unreachable!("an index without a list was refused when it was read");
    };
    lines.retain(|line| line["annotations"][REF_NAME] != name);
    let at = lines
        .partition_point(|line| line["annotations"][REF_NAME].as_str().unwrap_or_default() < name);
    lines.insert(at, line);
}

/// Writes a small blob, unless it is there, and is what it should be.
fn keep(folder: &Path, digest: &Digest, bytes: &[u8]) -> Result<(), Error> {
    let path = folder.join(digest.hex());
    if size(&path) == Some(bytes.len() as u64) && fs::read(&path)? == bytes {
        return Ok(());
    }
    Ok(fs::write_atomic(&path, bytes)?)
}

/// The size of a blob that is there.
fn size(path: &Path) -> Option<u64> {
    std::fs::metadata(path)
        .ok()
        .filter(std::fs::Metadata::is_file)
        .map(|file| file.len())
}

/// Fetches a layer, unless it is there; what does not have its digest and its size is not kept.
async fn transfer(folder: &Path, layer: &Layer, blobs: &Blobs) -> Result<(), Error> {
    let digest = &layer.descriptor.digest;
    // A layout has a folder for each algorithm; golden writes sha256 alone, a base may have others.
    let folder = folder.with_file_name(digest.algorithm());
    let path = folder.join(digest.hex());
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
    std::fs::create_dir_all(&folder).map_err(file(&folder))?;
    let temporary = fs::temporary_in(&folder).map_err(file(&folder))?;
    let (handle, place) = temporary.into_parts();
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
            "it is not what its digest says",
        )));
    }
    super::share(&place).map_err(file(&path))?;
    place
        .persist(&path)
        .map_err(|error| file(&path)(error.error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_line() {
        let mut index = new_index();
        let line =
            |name: &str, digest: &str| json!({"digest": digest, "annotations": {REF_NAME: name}});
        for (name, digest) in [("b:1", "x"), ("a:1", "y"), ("b:1", "z")] {
            enter(&mut index, name, line(name, digest));
        }
        assert_eq!(
            index["manifests"],
            json!([line("a:1", "y"), line("b:1", "z")])
        );
    }

    #[test]
    fn other_folders_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read_index(dir.path()).is_ok());
        assert!(read_index(&dir.path().join("new")).is_ok());
        fs::write_atomic(&dir.path().join("holiday.jpg"), b"").unwrap();
        assert!(matches!(read_index(dir.path()), Err(Error::Layout { .. })));
    }
}
