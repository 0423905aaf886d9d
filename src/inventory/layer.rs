//! The files of one layer, and the readings of its package databases. A layer is read once, as a
//! stream; only databases are held in memory, and of executables only their lists of modules.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use serde::{Deserialize, Serialize};

use super::executable::Executable;
use super::reading::{Database, Reading};
use crate::oci::extended::{Watched, invalid};
use crate::oci::unpacked::{LayerName, UnpackedLayer, clean, link_text};
use crate::reference::{Digest, Hasher};

/// The limit for the memory of the files of a layer, in bytes.
const KEPT: u64 = 96 << 20;
/// The memory of a file in addition to its path, in bytes.
const ENTRY: u64 = 256;

/// The content of a file in an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileKind {
    /// A directory.
    Directory,
    /// A regular file.
    File {
        /// The length in bytes.
        size: u64,
        /// The digest of the content.
        digest: Digest,
    },
    /// A symbolic link.
    Symlink {
        /// The target.
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

/// A file, a directory or a link in an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFile {
    /// The permission bits with set-id and sticky.
    pub mode: u32,
    /// The user id.
    pub uid: u64,
    /// The group id.
    pub gid: u64,
    /// The content.
    pub kind: FileKind,
}

/// The changes of one layer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LayerFiles {
    pub(super) files: BTreeMap<String, ImageFile>,
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
    pub fn read(layer: impl Read, size: u64) -> io::Result<Self> {
        let mut plain = UnpackedLayer::open(layer, size)?;
        let (mut files, mut kept) = (Self::default(), 0);
        let mut archive = tar::Archive::new(Watched::new(&mut plain));
        for entry in archive.entries()? {
            let mut entry = entry?;
            kept += entry.path_bytes().len() as u64 + ENTRY;
            if kept > KEPT {
                return Err(invalid(
                    "it has more files and packages than golden can hold in memory",
                ));
            }
            kept += files.add(&mut entry)?;
        }
        // The stream is read to its end, because its digest is checked there.
        io::copy(&mut plain, &mut io::sink())?;
        plain.finish()?;
        Ok(files)
    }

    /// Adds an entry of the archive. Returns the memory of the packages that it lists.
    fn add<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>) -> io::Result<u64> {
        let path = match LayerName::parse(&entry.path_bytes())? {
            LayerName::Ignored => return Ok(0),
            LayerName::Opaque(directory) => {
                self.opaque.insert(directory);
                return Ok(0);
            }
            LayerName::Whiteout(path) => {
                self.whiteouts.insert(path);
                return Ok(0);
            }
            LayerName::Entry(path) => path,
        };
        self.readings.remove(&path);
        let kind = self.kind(entry, &path)?;
        let header = entry.header();
        let file = ImageFile {
            // Tools write different modes for symbolic links, which have none.
            mode: match kind {
                FileKind::Symlink { .. } => 0o777,
                _ => header.mode()? & 0o7777,
            },
            uid: header.uid()?,
            gid: header.gid()?,
            kind,
        };
        let weight = self.readings.get(&path).map_or(0, Reading::weight);
        self.files.insert(path, file);
        Ok(weight)
    }

    fn kind<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>, path: &str) -> io::Result<FileKind> {
        Ok(match entry.header().entry_type() {
            tar::EntryType::Directory => FileKind::Directory,
            tar::EntryType::Symlink => FileKind::Symlink {
                target: link_text(entry, path)?,
            },
            tar::EntryType::Link => {
                let target = clean(link_text(entry, path)?.as_bytes())?;
                if let Some(reading) = self.readings.get(&target).cloned() {
                    self.readings.insert(path.to_owned(), reading);
                }
                match self.files.get(&target) {
                    Some(file) => file.kind.clone(),
                    None => FileKind::Link { target },
                }
            }
            tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
                self.regular(entry, path)?
            }
            _ => FileKind::Special,
        })
    }

    /// Hashes a file, and parses it if it is a database or an executable.
    fn regular<R: Read>(
        &mut self,
        entry: &mut tar::Entry<'_, R>,
        path: &str,
    ) -> io::Result<FileKind> {
        let size = entry.size();
        self.size = self.size.saturating_add(size);
        let mut hasher = Hasher::sha256();
        let reading = match Database::at(path) {
            Some(database) if size <= database.largest() => {
                let mut bytes = Vec::new();
                hasher.copy(entry, &mut bytes)?;
                database.read(path, &bytes)
            }
            Some(database) => {
                hasher.copy(entry, &mut io::sink())?;
                Some(database.too_large(size))
            }
            None => {
                let mut executable = Executable::default();
                hasher.copy(entry, &mut executable)?;
                executable.finish().map(Reading::Packages)
            }
        };
        self.readings
            .extend(reading.map(|reading| (path.to_owned(), reading)));
        let digest = hasher.finish();
        Ok(FileKind::File { size, digest })
    }
}
