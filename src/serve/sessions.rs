//! The unfinished uploads of a layout.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Bytes;
use tokio::sync::mpsc;

use super::answer::RequestRefusal;
use crate::reference::{Digest, Hasher, RepositoryPath};

/// The time without progress after which an upload is removed.
const ABANDONED: Duration = Duration::from_hours(24);

/// The unfinished uploads of a layout. Each is a file, so that it survives a restart.
#[derive(Debug)]
pub(super) struct Sessions {
    directory: PathBuf,
    open: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<StoredUpload>>>>,
}

#[derive(Debug)]
pub(super) struct StoredUpload {
    pub(super) path: PathBuf,
    pub(super) received: u64,
    hash: Hasher,
}

impl Sessions {
    /// Opens the uploads of a layout, and removes abandoned ones.
    pub(super) fn open(root: &Path) -> std::io::Result<Self> {
        let directory = root.join(".uploads");
        std::fs::create_dir_all(&directory)?;
        for entry in std::fs::read_dir(&directory)?.filter_map(Result::ok) {
            let age = entry
                .metadata()
                .and_then(|data| data.modified())
                .map(|time| time.elapsed());
            if matches!(age, Ok(Ok(age)) if age > ABANDONED) {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(Self {
            directory,
            open: Mutex::default(),
        })
    }

    /// Starts an upload and returns its id.
    pub(super) fn begin(&self, repository: &RepositoryPath) -> std::io::Result<String> {
        let id = format!(
            "{:016x}{:016x}{}",
            fastrand::u64(..),
            fastrand::u64(..),
            repository_suffix(repository)
        );
        let path = self.directory.join(&id);
        File::create_new(&path)?;
        self.insert(
            &id,
            StoredUpload {
                path,
                received: 0,
                hash: Hasher::sha256(),
            },
        );
        Ok(id)
    }

    fn insert(&self, id: &str, session: StoredUpload) -> Arc<tokio::sync::Mutex<StoredUpload>> {
        let session = Arc::new(tokio::sync::Mutex::new(session));
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.entry(id.to_owned()).or_insert(session).clone()
    }

    /// The upload with an id. If another process or an earlier run started it, reads its file.
    /// Fails if the id is unknown or belongs to another repository.
    pub(super) fn find(
        &self,
        repository: &RepositoryPath,
        id: &str,
    ) -> Result<Arc<tokio::sync::Mutex<StoredUpload>>, RequestRefusal> {
        let is_id = id.len() == 48 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_id || !id.ends_with(&repository_suffix(repository)) {
            return Err(unknown());
        }
        let open = self
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)
            .cloned();
        if let Some(session) = open {
            return Ok(session);
        }
        match StoredUpload::read(self.directory.join(id)) {
            Ok(session) => Ok(self.insert(id, session)),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(unknown()),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn remove(&self, id: &str) {
        self.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id);
    }
}

/// The end of an upload's id, which depends on the repository.
fn repository_suffix(repository: &RepositoryPath) -> String {
    Digest::of(repository.as_str().as_bytes()).hex()[..16].to_owned()
}

fn unknown() -> RequestRefusal {
    RequestRefusal::new(
        StatusCode::NOT_FOUND,
        "BLOB_UPLOAD_UNKNOWN",
        "this upload does not exist",
    )
}

impl StoredUpload {
    fn read(path: PathBuf) -> std::io::Result<Self> {
        let mut hash = Hasher::sha256();
        let received = hash.copy(File::open(&path)?, &mut std::io::sink())?;
        Ok(Self {
            path,
            received,
            hash,
        })
    }

    /// Writes and hashes received bytes; it blocks the thread. The bytes before an error count as
    /// received, so that the client can resume after them.
    pub(super) fn append(&mut self, mut pieces: mpsc::Receiver<Bytes>) -> std::io::Result<()> {
        let mut file = File::options().write(true).open(&self.path)?;
        file.set_len(self.received)?;
        file.seek(SeekFrom::Start(self.received))?;
        while let Some(piece) = pieces.blocking_recv() {
            file.write_all(&piece)?;
            self.hash.update(&piece);
            self.received += piece.len() as u64;
        }
        Ok(())
    }

    pub(super) fn has(&self, digest: &Digest) -> std::io::Result<bool> {
        if digest.algorithm() == "sha256" {
            return Ok(self.hash.clone().matches(digest));
        }
        let mut hasher = Hasher::of(digest);
        hasher.copy(File::open(&self.path)?, &mut std::io::sink())?;
        Ok(hasher.matches(digest))
    }
}
