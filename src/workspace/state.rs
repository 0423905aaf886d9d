//! `.golden/`: the state that golden keeps for a workspace. Losing it never changes what is
//! published.

use std::path::{Path, PathBuf};

use walkdir::WalkDir;

pub use super::file_error::Error;
use super::user_cache::UserCache;

/// The name of the state directory in a workspace.
pub const DIRECTORY: &str = ".golden";

/// The state directory of a workspace. It is created on the first write.
#[derive(Debug, Clone)]
pub struct StateDirectory {
    directory: PathBuf,
    user: UserCache,
}

impl StateDirectory {
    /// The state directory of the workspace at `root`.
    #[must_use]
    pub fn of(root: &Path) -> Self {
        Self {
            directory: root.join(DIRECTORY),
            user: UserCache::default(),
        }
    }

    /// Adds the user's cache, which holds facts that a digest cannot prove.
    #[must_use]
    pub fn with_user_cache(self, user: UserCache) -> Self {
        Self { user, ..self }
    }

    /// The cache that only the user can write.
    #[must_use]
    pub const fn user_cache(&self) -> &UserCache {
        &self.user
    }

    /// Returns the user's cache and drops the rest.
    #[must_use]
    pub fn into_user_cache(self) -> UserCache {
        self.user
    }

    /// The first symbolic link in `.golden`. golden creates none there, and following one would
    /// read and write in other directories. Also removes the unfinished files of killed processes.
    #[must_use]
    pub fn link(&self) -> Option<PathBuf> {
        for entry in WalkDir::new(&self.directory)
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

    /// The state directory that contains a file or directory.
    #[must_use]
    pub fn around(path: &Path) -> Self {
        Self {
            directory: path.parent().unwrap_or(path).to_owned(),
            user: UserCache::default(),
        }
    }

    /// The path of a file in the state directory.
    #[must_use]
    pub fn path(&self, file: impl AsRef<Path>) -> PathBuf {
        self.directory.join(file)
    }

    /// Reads a file of the state directory. Returns None if it does not exist. Fails if the file or
    /// a directory above it is a symbolic link.
    pub fn read(&self, file: impl AsRef<Path>) -> Result<Option<Vec<u8>>, Error> {
        super::fs::read_beneath(&self.directory, file.as_ref())
            .map_err(|error| self.explained(error))
    }

    /// The error of a file of the directory. If the directory is a file, it is at fault.
    fn explained(&self, error: Error) -> Error {
        if !self.directory.is_file() {
            return error;
        }
        let why = "it is a file, and golden needs a directory of this name: remove or rename it";
        Error {
            action: "use",
            path: self.directory.clone(),
            source: std::io::Error::other(why),
        }
    }

    /// The paths of the regular files in a directory of the state directory, at every level. Symbolic
    /// links are not followed.
    #[must_use]
    pub fn files_in(&self, directory: impl AsRef<Path>) -> Vec<PathBuf> {
        let entries = walkdir::WalkDir::new(self.path(directory)).sort_by_file_name();
        let files = entries.into_iter().filter_map(Result::ok);
        files
            .filter(|entry| entry.file_type().is_file())
            .filter_map(|entry| {
                let path = entry.path().strip_prefix(&self.directory);
                path.ok().map(Path::to_owned)
            })
            .collect()
    }

    /// Creates the directory with a `.gitignore` that contains `*`.
    pub fn make(&self) -> Result<(), Error> {
        if self.directory.join(".gitignore").exists() {
            Ok(())
        } else {
            super::fs::write_beneath(&self.directory, Path::new(".gitignore"), b"*\n")
                .map_err(|error| self.explained(error))
        }
    }

    /// Writes a file atomically and creates missing parent directories. Fails if one of them is a
    /// symbolic link.
    pub fn write(&self, file: impl AsRef<Path>, bytes: &[u8]) -> Result<(), Error> {
        self.make()?;
        super::fs::write_beneath(&self.directory, file.as_ref(), bytes)
    }
}
