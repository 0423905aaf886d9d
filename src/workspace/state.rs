//! `.golden/`: what golden remembers about a workspace. Losing it never changes what is published.

use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::user_cache::UserCache;

/// The name of the directory in a workspace.
pub const DIRECTORY: &str = ".golden";

/// The state folder of a workspace. It is made on the first write.
#[derive(Debug, Clone)]
pub struct StateDirectory {
    folder: PathBuf,
    user: UserCache,
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

impl StateDirectory {
    /// The state folder of the workspace at `root`.
    #[must_use]
    pub fn of(root: &Path) -> Self {
        Self {
            folder: root.join(DIRECTORY),
            user: UserCache::default(),
        }
    }

    /// The same with the user's cache, which proves what `.golden` cannot prove by a digest.
    #[must_use]
    pub fn with_user_cache(self, user: UserCache) -> Self {
        Self { user, ..self }
    }

    /// What the user alone can have written.
    #[must_use]
    pub const fn user_cache(&self) -> &UserCache {
        &self.user
    }

    /// The same, of a state that is not needed otherwise.
    #[must_use]
    pub fn into_user_cache(self) -> UserCache {
        self.user
    }

    /// The first symbolic link in `.golden`, where golden makes none: through one, golden would read and write elsewhere.
    /// On the way, what killed runs left is removed.
    #[must_use]
    pub fn link(&self) -> Option<PathBuf> {
        for entry in WalkDir::new(&self.folder)
            .follow_root_links(false)
            .into_iter()
            .flatten()
        {
            if entry.path_is_symlink() {
                return Some(entry.into_path());
            }
            if entry.file_type().is_dir() {
                super::fs::sweep(entry.path());
            }
        }
        None
    }

    /// The state folder that a file or folder lies in.
    #[must_use]
    pub fn around(path: &Path) -> Self {
        Self {
            folder: path.parent().unwrap_or(path).to_owned(),
            user: UserCache::default(),
        }
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
        if ignore.exists() {
            Ok(())
        } else {
            super::fs::write_cached(&ignore, b"*\n")
        }
    }

    /// Writes a file as a whole or not at all, and makes the folders above it.
    pub fn write(&self, file: impl AsRef<Path>, bytes: &[u8]) -> Result<(), Error> {
        self.make()?;
        super::fs::write_cached(&self.path(file), bytes)
    }
}
