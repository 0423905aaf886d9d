//! Files whose errors name their path, and writes that are whole or not at all.

use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::state::Error;

/// What the name of a file begins with while it is written.
pub const UNFINISHED: &str = ".golden-";

/// Why a pipe, a socket or a device is not read.
pub const NO_FILE: &str = "it is neither a file nor a directory nor a symbolic link";

fn failed(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error { action, path, source }
}

/// The longest file that is read into memory, unless a shorter limit is named.
const LONGEST: u64 = 64 << 20;

/// Reads a regular file of at most 64 MiB.
pub fn read(path: &Path) -> Result<Vec<u8>, Error> {
    read_up_to(path, LONGEST)
}

/// Reads a regular file of at most `limit` bytes.
pub fn read_up_to(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    open(path).and_then(|file| read_all(file, limit)).map_err(failed("read", path))
}

/// Opens a regular file. It does not wait for a pipe's writer, and reads no device.
pub fn open(path: &Path) -> std::io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
        options.custom_flags(flags.bits().cast_signed());
    }
    regular(options.open(path)?)
}

/// The file, if it is a regular one.
fn regular(file: std::fs::File) -> std::io::Result<std::fs::File> {
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        return Ok(file);
    }
    Err(if kind.is_dir() { ErrorKind::IsADirectory.into() } else { std::io::Error::other(NO_FILE) })
}

/// All bytes of a file, if there are not more than `limit`.
pub fn read_all(file: std::fs::File, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(std::io::Error::new(
            ErrorKind::FileTooLarge,
            format!("it is longer than {}", size(limit)),
        ));
    }
    Ok(bytes)
}

/// A limit in words.
fn size(bytes: u64) -> String {
    if bytes >= 1 << 20 { format!("{} MiB", bytes >> 20) } else { format!("{} KiB", bytes >> 10) }
}

/// Reads a regular file of at most 64 MiB; none when it does not exist.
pub fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.source.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Why a file that the user names for output cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// Its directory does not exist. golden does not create it: the path may be a mistake.
    #[error("cannot write {}: the directory {} does not exist", path.display(), directory.display())]
    NoDirectory {
        /// The file.
        path: PathBuf,
        /// Its directory.
        directory: PathBuf,
    },
    /// A directory, device, pipe or socket.
    #[error("{} is not a regular file, and is left as it is", .0.display())]
    NotAFile(PathBuf),
    /// The file cannot be created in its directory.
    #[error("cannot write {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl OutputError {
    /// What to do next.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::NoDirectory { directory, .. } => vec![format!("mkdir -p {}", directory.display())],
            Self::NotAFile(_) => vec!["name a regular file, or one that does not exist".to_owned()],
            Self::File { .. } => Vec::new(),
        }
    }
}

/// Checks that a file for output can be written, and follows the links that lead to it.
pub fn output(path: &Path) -> Result<PathBuf, OutputError> {
    let failed = |source| OutputError::File { path: path.to_owned(), source };
    let real = match std::fs::metadata(path) {
        Ok(found) if found.is_file() => std::fs::canonicalize(path).map_err(failed)?,
        Ok(_) => return Err(OutputError::NotAFile(path.to_owned())),
        Err(_) => path.to_owned(),
    };
    let directory = directory_of(&real);
    if !directory.is_dir() {
        return Err(OutputError::NoDirectory { path: path.to_owned(), directory: directory.to_owned() });
    }
    // Only the attempt shows whether the file system allows it.
    let attempt = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(directory);
    attempt.map(|_| real.clone()).map_err(failed)
}

/// The directory of a file.
#[must_use]
pub fn directory_of(file: &Path) -> &Path {
    file.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."))
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
