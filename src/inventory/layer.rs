//! The files of one layer, and the readings of its package databases. A layer is read once, as a
//! stream; only databases are held in memory, and of executables only their lists of modules.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};

use super::certificates::is_certificate;
use super::executable::Executable;
use super::reading::{Database, Reading};
use crate::oci::extended::{HeaderLimiter, invalid};
use crate::oci::unpacked::{LayerName, UnpackedLayer, clean, link_text};
use crate::reference::{Digest, Hasher, copy};

/// The limit for the memory of the files of a layer, in bytes.
const KEPT: u64 = 96 << 20;
/// The number of bytes of a file that are read at once.
const BUFFER: usize = 64 << 10;
/// The number of bytes that show whether a file is of another program.
const START: u64 = 4;
/// The memory of a file in addition to its path, in bytes.
const ENTRY: u64 = 256;

/// The content of a file in an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LayerFileKind {
    /// A directory.
    Directory,
    /// A regular file.
    File {
        /// The length in bytes.
        size: u64,
        /// The digest of the content, if it was hashed.
        digest: Option<Digest>,
    },
    /// A symbolic link.
    Symlink {
        /// The target of the link.
        target: String,
    },
    /// A hard link to a file of a lower layer.
    Link {
        /// The path of the file.
        target: String,
    },
    /// A device, a pipe or a socket.
    Special,
}

/// The files of a layer that are hashed. Hashing takes most of the time of reading a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum HashedFiles {
    /// Only the files that bills of materials list, in whichever layer they are.
    Certificates,
    /// Every file.
    All,
}

/// A file, a directory or a link in an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerFile {
    /// The permission bits with set-id and sticky.
    pub mode: u32,
    /// The user id.
    pub uid: u64,
    /// The group id.
    pub gid: u64,
    /// The content.
    pub kind: LayerFileKind,
}

/// The changes of one layer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LayerFiles {
    pub(super) files: BTreeMap<String, LayerFile>,
    pub(super) whiteouts: BTreeSet<String>,
    pub(super) opaque: BTreeSet<String>,
    /// The total size of the regular files, in bytes. A hard link counts nothing.
    pub(super) size: u64,
    /// The parsed content of databases, by path.
    pub(super) readings: BTreeMap<String, Reading>,
}

impl LayerFiles {
    /// Reads a whole layer of `size` compressed bytes. Fails if the archive is damaged, leads out
    /// of the root, or exceeds a limit.
    pub fn read(layer: impl Read, size: u64, hashed: HashedFiles) -> io::Result<Self> {
        let mut plain = UnpackedLayer::open(layer, size)?;
        let mut reader = LayerReader {
            files: Self::default(),
            hashed,
            buffer: vec![0; BUFFER],
        };
        let mut kept = 0;
        let mut archive = tar::Archive::new(HeaderLimiter::new(&mut plain));
        for entry in archive.entries()? {
            let mut entry = entry?;
            kept += entry.path_bytes().len() as u64 + ENTRY;
            kept += reader.add(&mut entry)?;
            if kept > KEPT {
                return Err(invalid(
                    "it has more files and packages than golden can hold in memory",
                ));
            }
        }
        // The stream is read to its end, because its digest is checked there.
        io::copy(&mut plain, &mut io::sink())?;
        plain.finish()?;
        Ok(reader.files)
    }
}

/// The files of a layer that is being read.
struct LayerReader {
    files: LayerFiles,
    hashed: HashedFiles,
    /// Receives the content of each file.
    buffer: Vec<u8>,
}

impl LayerReader {
    /// Adds an entry of the archive. Returns the memory of its target and of the packages that it
    /// lists.
    fn add<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>) -> io::Result<u64> {
        let path = match LayerName::parse(&entry.path_bytes())? {
            LayerName::Ignored => return Ok(0),
            LayerName::Opaque(directory) => {
                self.files.opaque.insert(directory);
                return Ok(0);
            }
            LayerName::Whiteout(path) => {
                self.files.whiteouts.insert(path);
                return Ok(0);
            }
            LayerName::Entry(path) => path,
        };
        self.files.readings.remove(&path);
        let kind = self.kind(entry, &path)?;
        let header = entry.header();
        let file = LayerFile {
            // Tools write different modes for symbolic links, which have none.
            mode: match kind {
                LayerFileKind::Symlink { .. } => 0o777,
                _ => header.mode()? & 0o7777,
            },
            uid: header.uid()?,
            gid: header.gid()?,
            kind,
        };
        let weight = self.files.readings.get(&path).map_or(0, Reading::weight);
        let target = match &file.kind {
            LayerFileKind::Symlink { target } | LayerFileKind::Link { target } => {
                target.len() as u64
            }
            _ => 0,
        };
        self.files.files.insert(path, file);
        Ok(weight + target)
    }

    fn kind<R: Read>(
        &mut self,
        entry: &mut tar::Entry<'_, R>,
        path: &str,
    ) -> io::Result<LayerFileKind> {
        Ok(match entry.header().entry_type() {
            tar::EntryType::Directory => LayerFileKind::Directory,
            tar::EntryType::Symlink => LayerFileKind::Symlink {
                target: link_text(entry, path)?,
            },
            tar::EntryType::Link => {
                let target = clean(link_text(entry, path)?.as_bytes())?;
                if let Some(reading) = self.files.readings.get(&target).cloned() {
                    self.files.readings.insert(path.to_owned(), reading);
                }
                match self.files.files.get(&target) {
                    Some(file) => file.kind.clone(),
                    None => LayerFileKind::Link { target },
                }
            }
            tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
                self.regular(entry, path)?
            }
            _ => LayerFileKind::Special,
        })
    }

    /// Hashes a file if that is required, and parses it if it is a database or an executable.
    fn regular<R: Read>(
        &mut self,
        entry: &mut tar::Entry<'_, R>,
        path: &str,
    ) -> io::Result<LayerFileKind> {
        let size = entry.size();
        self.files.size = self.files.size.saturating_add(size);
        let is_hashed = self.hashed == HashedFiles::All || is_certificate(path);
        let mut hasher = is_hashed.then(Hasher::sha256);
        let reading = if let Some(database) = Database::at(path) {
            let mut bytes = Vec::new();
            self.copy(entry.by_ref().take(START), &mut bytes, hasher.as_mut())?;
            let is_other = database.is_of_other_program(path, &bytes);
            if is_other || size > database.largest() {
                self.copy(entry, &mut io::sink(), hasher.as_mut())?;
                (!is_other).then(|| database.too_large(size))
            } else {
                self.copy(entry, &mut bytes, hasher.as_mut())?;
                database.read(path, &bytes)
            }
        } else {
            let mut executable = Executable::default();
            self.copy(entry, &mut executable, hasher.as_mut())?;
            executable.finish().map(Reading::Packages)
        };
        self.files
            .readings
            .extend(reading.map(|reading| (path.to_owned(), reading)));
        let digest = hasher.map(Hasher::finish);
        Ok(LayerFileKind::File { size, digest })
    }

    /// Copies the content of a file, and hashes it if that is required.
    fn copy(
        &mut self,
        from: impl Read,
        to: &mut dyn Write,
        hasher: Option<&mut Hasher>,
    ) -> io::Result<()> {
        copy(from, to, &mut self.buffer, hasher)?;
        Ok(())
    }
}
