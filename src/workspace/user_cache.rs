//! The user's cache: results that golden must not read from a workspace that others can write.

use std::path::{Path, PathBuf};

use super::fs;

/// A directory that only the user can write. Without one, nothing is cached. Losing the cache costs
/// only time and requests.
#[derive(Debug, Clone, Default)]
pub struct UserCache(Option<PathBuf>);

impl UserCache {
    /// The cache at `directory`, such as `~/.cache/golden`. The directory is created on the first
    /// write.
    #[must_use]
    pub const fn at(directory: PathBuf) -> Self {
        Self(Some(directory))
    }

    /// Reads a cached file. None if it does not exist or others can write the directory.
    #[must_use]
    pub fn read(&self, file: impl AsRef<Path>) -> Option<Vec<u8>> {
        let directory = self
            .0
            .as_deref()
            .filter(|directory| is_private(directory))?;
        fs::read(&directory.join(file)).ok()
    }

    /// True if the file is cached. None if caching is impossible, for example without a home
    /// directory.
    #[must_use]
    pub fn has(&self, file: impl AsRef<Path>) -> Option<bool> {
        let directory = self.0.as_deref()?;
        (make(directory).is_ok() && is_private(directory)).then(|| self.read(file).is_some())
    }

    /// Caches a file. Failures are only logged.
    pub fn write(&self, file: impl AsRef<Path>, bytes: &[u8]) {
        let Some(directory) = &self.0 else { return };
        let made = make(directory);
        let written = made.is_ok() && is_private(directory);
        let written = written.then(|| fs::write_cached(&directory.join(file), bytes));
        if !matches!(written, Some(Ok(()))) {
            tracing::debug!(directory = %directory.display(), ?made, ?written, "cannot write to the cache");
        }
    }
}

/// Creates the directory with access only for the user.
fn make(directory: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// True if the user owns the directory and no other user can write it.
#[cfg(unix)]
fn is_private(directory: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let me = rustix::process::geteuid().as_raw();
    std::fs::symlink_metadata(directory).is_ok_and(|metadata| {
        metadata.is_dir() && metadata.uid() == me && metadata.mode() & 0o022 == 0
    })
}

#[cfg(not(unix))]
fn is_private(directory: &Path) -> bool {
    directory.is_dir()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn only_a_directory_of_the_user_alone_is_used() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/golden");
        let cache = UserCache::at(path.clone());
        assert_eq!((cache.read("x/y"), cache.has("x/y")), (None, Some(false)));
        cache.write("x/y", b"1");
        assert_eq!(
            (cache.read("x/y"), cache.has("x/y")),
            (Some(b"1".into()), Some(true))
        );
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!((cache.read("x/y"), cache.has("x/y")), (None, None));
        let none = UserCache::default();
        none.write("x/y", b"1");
        assert_eq!((none.read("x/y"), none.has("x/y")), (None, None));
    }
}
