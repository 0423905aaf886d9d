//! Writes new layers: small ones into memory, large ones into the cache. golden writes equal layers
//! once in a run.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::{Embedded, Error};
use crate::assemble::LayerSource;
use crate::oci::Content;
use crate::oci::layer::{self, Compression, WrittenLayer};
use crate::oci::tar::{Entry, EntryKind};
use crate::reference::Hasher;
use crate::workspace::fs::{self, UnfinishedFile};

/// Layers with up to this many bytes of content stay in memory.
const SMALL: u64 = 8 << 10;

impl Embedded {
    /// Writes a layer, unless this run has already written an equal one. Fails if a file cannot be
    /// read or the cache cannot be written.
    pub(super) async fn layer(
        &self,
        entries: Vec<Entry>,
        mtime: u64,
    ) -> Result<(WrittenLayer, LayerSource), Error> {
        let key = key(&entries, mtime);
        let (directory, compression) = (self.cache.join("blobs"), self.output.compression);
        let work = async {
            let (stop, writing) = WriterGuard::new();
            let write = move || write(&entries, mtime, compression, &directory, &writing);
            let written = tokio::task::spawn_blocking(write).await;
            drop(stop);
            match written {
                Ok(result) => result,
                Err(stopped) => Err(at(&self.cache)(std::io::Error::other(stopped))),
            }
        };
        self.shared.written.get(key, work).await
    }
}

/// Stops the writing thread if the guard is dropped before the layer is complete. The thread then
/// deletes its file.
struct WriterGuard {
    stopped: Arc<AtomicBool>,
    /// Disconnects when the thread has ended.
    ended: Receiver<()>,
}

/// The state that the writing thread shares with its [`WriterGuard`].
struct WriterState {
    stopped: Arc<AtomicBool>,
    _ends: Sender<()>,
}

/// The longest time to wait until a stopped thread has deleted its file.
const STOP_LIMIT: Duration = Duration::from_secs(1);

impl WriterGuard {
    fn new() -> (Self, WriterState) {
        let (ends, ended) = channel();
        let stopped = Arc::<AtomicBool>::default();
        (
            Self {
                stopped: Arc::clone(&stopped),
                ended,
            },
            WriterState {
                stopped,
                _ends: ends,
            },
        )
    }
}

impl Drop for WriterGuard {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Without this wait, the process could end before the thread deletes its file.
        let _ended = self.ended.recv_timeout(STOP_LIMIT);
    }
}

/// A file whose writing can be cancelled.
struct CancellableFile<W> {
    out: W,
    stopped: Arc<AtomicBool>,
}

impl<W: Write> Write for CancellableFile<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(io::Error::other("the build was cancelled"));
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Converts an error of the file system, and adds the path.
fn at(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { path, source }
}

/// Writes a layer into memory if it is small, otherwise into a file of the cache.
fn write(
    entries: &[Entry],
    mtime: u64,
    compression: Compression,
    directory: &Path,
    writing: &WriterState,
) -> Result<(WrittenLayer, LayerSource), Error> {
    let content: u64 = entries.iter().map(size).sum();
    let open = |path: &Path| fs::open_real(path).map_err(|error| with_path(path, &error));
    if content <= SMALL {
        let (layer, bytes) =
            layer::write(entries, mtime, compression, Vec::new(), open).map_err(at(directory))?;
        return Ok((layer, LayerSource::Inline(bytes.into())));
    }
    let file = UnfinishedFile::in_real(directory).map_err(at(directory))?;
    let cancellable = CancellableFile {
        out: file,
        stopped: Arc::clone(&writing.stopped),
    };
    let out = io::BufWriter::with_capacity(64 << 10, cancellable);
    let (layer, out) =
        layer::write(entries, mtime, compression, out, open).map_err(at(directory))?;
    let file = out
        .into_inner()
        .map_err(|error| at(directory)(error.into_error()))?
        .out;
    let name = layer.digest.hex();
    let path = directory.join(name);
    file.persist(name.as_ref()).map_err(at(&path))?;
    Ok((layer, LayerSource::File(path)))
}

/// Adds the path of a source file to an error, because the error of the layer names another path.
fn with_path(path: &Path, error: &std::io::Error) -> std::io::Error {
    std::io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// The length of an entry's content.
fn size(entry: &Entry) -> u64 {
    match &entry.kind {
        EntryKind::File(content) => content.len(),
        EntryKind::Archive(_) | EntryKind::Directory | EntryKind::Symlink(_) => 0,
    }
}

/// A digest of everything that determines the bytes of a layer.
fn key(entries: &[Entry], mtime: u64) -> String {
    let mut hash = Hasher::sha256();
    hash.update(mtime.to_le_bytes());
    for Entry {
        path,
        mode,
        uid,
        gid,
        kind,
    } in entries
    {
        let what = match kind {
            EntryKind::File(content) => format!("f{}", content.digest()),
            EntryKind::Directory => "d".to_owned(),
            EntryKind::Symlink(target) => format!("l{target}"),
            EntryKind::Archive(inner) => format!("a{}", key(inner, mtime)),
        };
        // The key contains the path of the source file too: a file can change while it is read, so
        // two equal files can become different.
        let from = match kind {
            EntryKind::File(Content::File { path, .. }) => path.clone(),
            _ => PathBuf::new(),
        };
        hash.update(format!(
            "{path}\0{mode}\0{uid}\0{gid}\0{what}\0{}\0\0",
            from.display()
        ));
    }
    hash.finish().to_string()
}
