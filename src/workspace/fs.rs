//! Files whose errors name their path, and writes that are whole or not at all.

use std::io::{ErrorKind, Write};
use std::path::Path;

use super::state::Error;

/// What the name of a file begins with while it is written.
pub const UNFINISHED: &str = ".golden-";

fn failed(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error { action, path, source }
}

/// Reads a file.
#[expect(clippy::disallowed_methods, reason = "this is the place that names the path")]
pub fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(failed("read", path))
}

/// Reads a file; none when it is not there.
pub fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.source.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a file beside its place and then renames it, so that nobody sees half of it; makes the folders above it.
/// When it returns, the content is on the disk.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    write_whole(path, bytes, true)
}

/// As [`write_atomic`], for what can be had again: it does not wait for the disk. After a crash of the machine the
/// file may be empty, so that readers must notice what is not whole.
pub fn write_cached(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    write_whole(path, bytes, false)
}

fn write_whole(path: &Path, bytes: &[u8], durable: bool) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(failed("create", folder))?;
    let write = || {
        let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder)?;
        file.write_all(bytes)?;
        share(file.as_file())?;
        if durable {
            file.as_file().sync_all()?;
        }
        file.persist(path).map_err(|error| error.error)
    };
    write().map(drop).map_err(failed("write", path))
}

/// Temporary files are for their owner alone; what is left behind is for all who may read the folder.
#[cfg(unix)]
fn share(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn share(_: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}
