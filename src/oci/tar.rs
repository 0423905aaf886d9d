//! Deterministic tar and gzip: the same entries give the same bytes on every machine.

use super::Content;

/// One entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path in the archive, relative, `/`-separated, without a leading or trailing `/`.
    pub path: String,
    /// Permission bits with set-id and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// What it is.
    pub kind: EntryKind,
}

/// What an [`Entry`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File(Content),
    /// A folder.
    Directory,
    /// A symbolic link to this target.
    Symlink(String),
}
