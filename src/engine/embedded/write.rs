//! Writing new layers: small ones into memory, large ones into the cache, equal ones once.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::{Embedded, Error};
use crate::assemble::LayerSource;
use crate::oci::Content;
use crate::oci::layer::{self, Compression, WrittenLayer};
use crate::oci::tar::{Entry, EntryKind};
use crate::reference::Digest;
use crate::workspace::fs;

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

/// Dropped before the layer is written, it stops the thread that writes it, which then takes away what it wrote.
struct WriterGuard {
    stopped: Arc<AtomicBool>,
    /// Disconnected once the thread has ended.
    ended: Receiver<()>,
}

/// The thread's end of a [`WriterGuard`].
struct Writing {
    stopped: Arc<AtomicBool>,
    _ends: Sender<()>,
}

/// How long a thread may take to notice that it is to stop.
const NOTICE: Duration = Duration::from_secs(1);

impl WriterGuard {
    fn new() -> (Self, Writing) {
        let (ends, ended) = channel();
        let stopped = Arc::<AtomicBool>::default();
        (
            Self {
                stopped: Arc::clone(&stopped),
                ended,
            },
            Writing {
                stopped,
                _ends: ends,
            },
        )
    }
}

impl Drop for WriterGuard {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Without a moment for that, the thread would end with the process and leave its file.
        let _ended = self.ended.recv_timeout(NOTICE);
    }
}

/// A file in the making, as long as it is wanted.
struct CancellableFile<W> {
    out: W,
    stopped: Arc<AtomicBool>,
}

impl<W: Write> Write for CancellableFile<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(io::Error::other("it is not wanted any more"));
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
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
    directory: &Path,
    writing: &Writing,
) -> Result<(WrittenLayer, LayerSource), Error> {
    let content: u64 = entries.iter().map(size).sum();
    let open = |path: &Path| fs::open(path).map_err(|error| named(path, &error));
    if content <= SMALL {
        let (layer, bytes) =
            layer::write(entries, mtime, compression, Vec::new(), open).map_err(at(directory))?;
        return Ok((layer, LayerSource::Inline(bytes.into())));
    }
    std::fs::create_dir_all(directory).map_err(at(directory))?;
    let file = fs::temporary_in(directory).map_err(at(directory))?;
    let wanted = CancellableFile {
        out: file,
        stopped: Arc::clone(&writing.stopped),
    };
    let out = io::BufWriter::with_capacity(64 << 10, wanted);
    let (layer, out) =
        layer::write(entries, mtime, compression, out, open).map_err(at(directory))?;
    let file = out
        .into_inner()
        .map_err(|error| at(directory)(error.into_error()))?
        .out;
    let place = directory.join(layer.digest.hex());
    file.persist(&place)
        .map_err(|error| at(&place)(error.error))?;
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
        // A file is named too: two equal ones may change apart while they are read.
        let from = match kind {
            EntryKind::File(Content::File { path, .. }) => path.clone(),
            _ => PathBuf::new(),
        };
        hash.update(format!(
            "{path}\0{mode}\0{uid}\0{gid}\0{what}\0{}\0\0",
            from.display()
        ));
    }
    Digest::from_sha256(&hash.finalize()).to_string()
}
