//! `.golden/`: what golden remembers about a workspace (7-rules 9). Losing it never changes what is published.

use std::path::{Path, PathBuf};

/// The state folder of a workspace. It is made on the first write.
#[derive(Debug, Clone)]
pub struct State {
    folder: PathBuf,
}

/// Why a file of the workspace cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct Error {
    /// `read`, `write` or the like.
    pub action: &'static str,
    /// The path.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: std::io::Error,
}

impl State {
    /// The state folder of the workspace at `root`.
    #[must_use]
    pub fn of(root: &Path) -> Self {
        Self { folder: root.join(".golden") }
    }

    /// The state folder that a file or folder lies in.
    #[must_use]
    pub fn around(path: &Path) -> Self {
        Self { folder: path.parent().unwrap_or(path).to_owned() }
    }

    /// The path of a file in it.
    #[must_use]
    pub fn path(&self, file: impl AsRef<Path>) -> PathBuf {
        self.folder.join(file)
    }

    /// Reads a file; none when it is not there.
    pub fn read(&self, file: impl AsRef<Path>) -> Result<Option<Vec<u8>>, Error> {
        super::fs::read_if_there(&self.path(file))
    }

    /// Makes the folder, with a `.gitignore` of `*` in it.
    pub fn make(&self) -> Result<(), Error> {
        let ignore = self.folder.join(".gitignore");
        if ignore.exists() { Ok(()) } else { super::fs::write_cached(&ignore, b"*\n") }
    }

    /// Writes a file as a whole or not at all, and makes the folders above it.
    pub fn write(&self, file: impl AsRef<Path>, bytes: &[u8]) -> Result<(), Error> {
        self.make()?;
        super::fs::write_cached(&self.path(file), bytes)
    }
}
