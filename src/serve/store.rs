//! The directory with `index.json` and the blobs. `index.json` is read again after another program
//! changed it.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::Error;
use super::index::StoreIndex;
use super::sessions::Sessions;
use crate::reference::Digest;
use crate::workspace::fs;

/// The size limit of a manifest, in bytes (OCI distribution spec, "Pushing manifests": at least
/// 4 MiB).
pub(super) const MANIFEST_LIMIT: u64 = 4 << 20;

/// An OCI image layout, open for reading and writing. Several processes can write to it at the same
/// time: each locks the directory while it reads and replaces `index.json`.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    state: Mutex<StoreState>,
    pub(super) sessions: Sessions,
}

#[derive(Debug, Default)]
struct StoreState {
    index: StoreIndex,
    stamp: Option<Stamp>,
}

/// Metadata that changes when `index.json` is replaced.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    length: u64,
    file: u64,
}

impl Stamp {
    fn of(path: &Path) -> std::io::Result<Option<Self>> {
        match std::fs::metadata(path) {
            Ok(data) => Ok(Some(Self {
                modified: data.modified()?,
                length: data.len(),
                file: number_of(&data),
            })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(unix)]
fn number_of(data: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(data)
}

#[cfg(not(unix))]
fn number_of(_: &std::fs::Metadata) -> u64 {
    0
}

impl Store {
    /// Opens the layout in a directory. Creates it if the directory does not exist or is empty.
    /// Fails if the directory has other content or `index.json` cannot be parsed.
    pub fn open(root: &Path) -> Result<Self, Error> {
        let failed = |action| {
            let path = root.to_owned();
            move |source| Error::File {
                action,
                path,
                source,
            }
        };
        if std::fs::metadata(root).is_ok_and(|found| !found.is_dir()) {
            return Err(Error::NotADirectory(root.to_owned()));
        }
        std::fs::create_dir_all(root).map_err(failed("create"))?;
        let marker = root.join("oci-layout");
        if !marker.exists() {
            let mut entries = std::fs::read_dir(root).map_err(failed("read"))?;
            let is_foreign = |name: &str| {
                !["blobs", "index.json"].contains(&name) && !name.starts_with(fs::UNFINISHED)
            };
            if entries.any(|entry| {
                entry.is_ok_and(|entry| is_foreign(&entry.file_name().to_string_lossy()))
            }) {
                let what = "it has no file oci-layout, and is not empty".to_owned();
                return Err(Error::NotALayout {
                    path: root.to_owned(),
                    what,
                });
            }
            fs::write_atomic(&marker, br#"{"imageLayoutVersion":"1.0.0"}"#)
                .map_err(|error| failed("create")(error.source))?;
        }
        std::fs::create_dir_all(root.join("blobs/sha256")).map_err(failed("create"))?;
        let sessions = Sessions::open(root).map_err(failed("create"))?;
        let store = Self {
            root: root.to_owned(),
            state: Mutex::default(),
            sessions,
        };
        store.read(|_| ()).map_err(|source| Error::NotALayout {
            path: root.to_owned(),
            what: source.to_string(),
        })?;
        Ok(store)
    }

    /// Opens an existing layout. Fails if the directory is not one.
    pub fn existing(root: &Path) -> Result<Self, Error> {
        if root.join("oci-layout").is_file() {
            return Self::open(root);
        }
        Err(Error::NoStore(root.to_owned()))
    }

    /// The directory of the layout.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn index_path(&self) -> PathBuf {
        self.root.join("index.json")
    }

    fn lock(&self) -> MutexGuard<'_, StoreState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads `index.json` again if the file has changed.
    fn refresh(&self, state: &mut StoreState) -> std::io::Result<()> {
        let path = self.index_path();
        let stamp = Stamp::of(&path)?;
        if state.stamp == stamp {
            return Ok(());
        }
        state.index = match &stamp {
            Some(_) => {
                let bytes = fs::read(&path).map_err(|error| error.source)?;
                StoreIndex::parse(&bytes)
                    .map_err(|what| std::io::Error::other(format!("index.json: {what}")))?
            }
            None => StoreIndex::default(),
        };
        state.stamp = stamp;
        Ok(())
    }

    /// Calls `look_up` with the current entries.
    pub(super) fn read<T>(&self, look_up: impl FnOnce(&StoreIndex) -> T) -> std::io::Result<T> {
        let mut state = self.lock();
        self.refresh(&mut state)?;
        Ok(look_up(&state.index))
    }

    /// Changes the entries and replaces `index.json`. If `change` returns an error, nothing
    /// changes. This function waits for other writers, so it must not run on a thread that serves
    /// other requests.
    pub(super) fn change<T, E: From<std::io::Error>>(
        &self,
        change: impl FnOnce(&mut StoreIndex) -> Result<T, E>,
    ) -> Result<T, E> {
        let directory = File::open(&self.root)?;
        directory.lock()?;
        let mut state = self.lock();
        self.refresh(&mut state)?;
        let mut index = state.index.clone();
        let result = change(&mut index)?;
        if index != state.index {
            let path = self.index_path();
            fs::write_cached(&path, &index.to_bytes()).map_err(|error| error.source)?;
            *state = StoreState {
                index,
                stamp: Stamp::of(&path)?,
            };
        }
        Ok(result)
    }

    /// The path of a blob.
    pub(super) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root
            .join("blobs")
            .join(digest.algorithm())
            .join(digest.hex())
    }

    /// The length of a blob; `None` if it does not exist.
    pub(super) fn blob_size(&self, digest: &Digest) -> std::io::Result<Option<u64>> {
        match std::fs::metadata(self.blob_path(digest)) {
            Ok(data) if data.is_file() => Ok(Some(data.len())),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The bytes of a manifest; `None` if it does not exist. Fails if it exceeds the size limit.
    pub(super) fn manifest(&self, digest: &Digest) -> std::io::Result<Option<Vec<u8>>> {
        let file = match File::open(self.blob_path(digest)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.take(MANIFEST_LIMIT + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MANIFEST_LIMIT {
            return Err(std::io::Error::other(format!(
                "manifest {digest} is longer than {MANIFEST_LIMIT} bytes"
            )));
        }
        Ok(Some(bytes))
    }

    /// Stores the bytes of a manifest, if they are not stored yet.
    pub(super) fn keep_manifest(&self, digest: &Digest, bytes: &[u8]) -> std::io::Result<()> {
        if self.blob_size(digest)? == Some(bytes.len() as u64) {
            return Ok(());
        }
        fs::write_cached(&self.blob_path(digest), bytes).map_err(|error| error.source)
    }

    /// Removes a blob. Returns true if it existed.
    pub(super) fn remove_blob(&self, digest: &Digest) -> std::io::Result<bool> {
        match std::fs::remove_file(self.blob_path(digest)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Runs file operations on a thread for blocking work.
pub(super) async fn blocking<T, E>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<std::io::Error> + Send + 'static,
{
    tokio::task::spawn_blocking(work)
        .await
        .map_err(std::io::Error::other)?
}
