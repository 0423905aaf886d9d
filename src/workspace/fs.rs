//! File access with errors that name the path, and atomic writes.

use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::file_error::Error;

/// The prefix of the name of a file that is not completely written yet.
pub const UNFINISHED: &str = ".golden-";

/// The reason why a pipe, a socket or a device is not read.
pub const NO_FILE: &str = "it is neither a file nor a directory nor a symbolic link";

/// Creates a file in `directory` that is renamed once it is complete. Its name contains the id of
/// this process, which also holds a lock on it. If the process is killed, [`sweep`] removes the
/// file.
pub fn temporary_in(directory: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let file = tempfile::Builder::new()
        .prefix(&prefix())
        .tempfile_in(directory)
        .map_err(without_path)?;
    // Some network file systems have no locks. There, only the process id in the name protects the
    // file.
    drop(file.as_file().try_lock());
    Ok(file)
}

/// Creates a directory in the system's directory for temporary files.
pub fn temporary_directory() -> std::io::Result<tempfile::TempDir> {
    tempfile::Builder::new()
        .prefix(&prefix())
        .tempdir()
        .map_err(without_path)
}

/// The error of the operating system, without the name of the temporary file, which the user does
/// not know.
fn without_path(error: std::io::Error) -> std::io::Error {
    let text = error.to_string();
    match text.split_once(" at path ") {
        Some((message, _)) => std::io::Error::new(error.kind(), message.to_owned()),
        None => error,
    }
}

fn prefix() -> String {
    format!("{UNFINISHED}{}-", std::process::id())
}

/// Removes the unfinished files and directories that killed processes left directly in `directory`.
pub fn sweep(directory: &Path) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        if is_abandoned(&entry.path()) {
            let path = entry.path();
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let removed = if is_directory {
                std::fs::remove_dir_all(&path)
            } else {
                std::fs::remove_file(&path)
            };
            tracing::debug!(path = %path.display(), ?removed, "removed a file of a killed process");
        }
    }
}

/// True if the path is an unfinished file of a process that has ended.
fn is_abandoned(path: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let process = name
        .strip_prefix(UNFINISHED)
        .and_then(|rest| rest.split_once('-')?.0.parse().ok());
    if process.is_none_or(is_running) {
        return false;
    }
    match path.symlink_metadata() {
        // Containers that share a directory have separate process ids, but they share the lock.
        Ok(metadata) if metadata.is_file() => open(path).is_ok_and(|file| file.try_lock().is_ok()),
        Ok(metadata) if metadata.is_dir() => {
            let age = metadata
                .modified()
                .ok()
                .and_then(|time| time.elapsed().ok());
            age.is_some_and(|age| age > std::time::Duration::from_mins(10))
        }
        _ => false,
    }
}

#[cfg(unix)]
fn is_running(process: i32) -> bool {
    let process = rustix::process::Pid::from_raw(process);
    process.is_none_or(|process| {
        rustix::process::test_kill_process(process) != Err(rustix::io::Errno::SRCH)
    })
}

#[cfg(not(unix))]
const fn is_running(_: i32) -> bool {
    true
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error {
        action,
        path,
        source,
    }
}

/// The longest file that is read into memory unless the caller sets another limit, in bytes.
const DEFAULT_LIMIT: u64 = 64 << 20;

/// Reads a regular file of at most 64 MiB. Fails if it is longer or cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>, Error> {
    read_up_to(path, DEFAULT_LIMIT)
}

/// Reads a regular file of at most `limit` bytes. Fails if it is longer or cannot be read.
pub fn read_up_to(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    open(path)
        .and_then(|file| read_all(file, limit))
        .map_err(failed("read", path))
}

/// Opens a regular file. Does not wait for the writer of a pipe, and refuses devices.
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

/// Opens a regular file of the workspace at `root`, which must be canonical. Symbolic links may
/// lead to other places in the workspace but not out of it, even if they change while the file is
/// opened.
pub fn open_in(root: &Path, path: &Path) -> std::io::Result<std::fs::File> {
    let real = std::fs::canonicalize(path)?;
    match real.strip_prefix(root) {
        Ok(relative) => open_beneath(root, relative),
        Err(_) => Err(outside()),
    }
}

/// Opens a regular file again by the canonical path of its first use. Fails if the file or a parent
/// directory has been replaced by a symbolic link.
#[cfg(unix)]
pub fn open_real(path: &Path) -> std::io::Result<std::fs::File> {
    match path.strip_prefix("/") {
        Ok(relative) => open_beneath(Path::new("/"), relative),
        Err(_) => Err(std::io::Error::other("its path is not absolute")),
    }
}

/// Opens a regular file again by the canonical path of its first use.
#[cfg(not(unix))]
pub fn open_real(path: &Path) -> std::io::Result<std::fs::File> {
    open(path)
}

/// Reads a regular file of at most 64 MiB again. Fails as [`open_real`] does.
pub fn read_real(path: &Path) -> Result<Vec<u8>, Error> {
    open_real(path)
        .and_then(|file| read_all(file, DEFAULT_LIMIT))
        .map_err(failed("read", path))
}

/// The flags for opening the parent directories of a file. With `PATH`, they need not be readable.
#[cfg(any(target_os = "linux", target_os = "android"))]
const PASSED: rustix::fs::OFlags = rustix::fs::OFlags::PATH.union(rustix::fs::OFlags::DIRECTORY);
#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
const PASSED: rustix::fs::OFlags = rustix::fs::OFlags::DIRECTORY;

/// Opens a regular file by a path without symbolic links, directory by directory.
#[cfg(unix)]
fn open_beneath(root: &Path, relative: &Path) -> std::io::Result<std::fs::File> {
    use rustix::fs::{Mode, OFlags, openat};
    let (directory, name) = directory_beneath(root, relative)?;
    let flags = OPENED | OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = openat(directory, name, flags, Mode::empty());
    regular(opened.map_err(unopened)?.into())
}

/// The flags for opening a file in an open directory.
#[cfg(unix)]
const OPENED: rustix::fs::OFlags = rustix::fs::OFlags::RDONLY
    .union(rustix::fs::OFlags::CLOEXEC)
    .union(rustix::fs::OFlags::NOFOLLOW);

/// Opens the directory of a file by a path without symbolic links. Also returns the file name.
#[cfg(unix)]
fn directory_beneath<'a>(
    root: &Path,
    relative: &'a Path,
) -> std::io::Result<(rustix::fd::OwnedFd, &'a std::ffi::OsStr)> {
    use rustix::fs::{Mode, open, openat};
    let name = relative.file_name().ok_or(ErrorKind::IsADirectory)?;
    let mut directory = open(root, OPENED | PASSED, Mode::empty()).map_err(unopened)?;
    for part in relative.parent().into_iter().flat_map(Path::components) {
        let opened = openat(directory, part.as_os_str(), OPENED | PASSED, Mode::empty());
        directory = opened.map_err(unopened)?;
    }
    Ok((directory, name))
}

/// The target of a symbolic link in the workspace at `root`, which must be canonical. Fails if a
/// parent directory is a symbolic link.
#[cfg(unix)]
pub fn read_link_in(root: &Path, path: &Path) -> std::io::Result<PathBuf> {
    use std::os::unix::ffi::OsStringExt as _;
    let relative = path.strip_prefix(root).map_err(std::io::Error::other)?;
    let (directory, name) = directory_beneath(root, relative)?;
    let target = rustix::fs::readlinkat(directory, name, Vec::new())?;
    Ok(std::ffi::OsString::from_vec(target.into_bytes()).into())
}

/// The target of a symbolic link of the workspace.
#[cfg(not(unix))]
pub fn read_link_in(_: &Path, path: &Path) -> std::io::Result<PathBuf> {
    std::fs::read_link(path)
}

/// The error if a file or one of its parent directories cannot be opened.
#[cfg(unix)]
fn unopened(error: rustix::io::Errno) -> std::io::Error {
    use rustix::io::Errno;
    match error {
        // Sockets cannot be opened.
        Errno::NXIO => std::io::Error::other(NO_FILE),
        Errno::LOOP | Errno::NOTDIR => std::io::Error::other(
            "it or a directory above it was replaced by a symbolic link or a file while golden was running",
        ),
        other => other.into(),
    }
}

#[cfg(not(unix))]
fn open_beneath(root: &Path, relative: &Path) -> std::io::Result<std::fs::File> {
    open(&root.join(relative))
}

/// Reads a regular file of at most `limit` bytes in the workspace at `root`.
pub fn read_in(root: &Path, path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    open_in(root, path)
        .and_then(|file| read_all(file, limit))
        .map_err(failed("read", path))
}

/// Reads a regular file of at most 64 MiB in the directory `root`. Returns None if it does not exist.
/// Fails if the directory, the file or a directory between them is a symbolic link.
pub fn read_beneath(root: &Path, relative: &Path) -> Result<Option<Vec<u8>>, Error> {
    let read = open_beneath(root, relative).and_then(|file| read_all(file, DEFAULT_LIMIT));
    if_exists(read.map_err(failed("read", &root.join(relative))))
}

/// Returns the file if it is a regular file.
fn regular(file: std::fs::File) -> std::io::Result<std::fs::File> {
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        return Ok(file);
    }
    Err(if kind.is_dir() {
        ErrorKind::IsADirectory.into()
    } else {
        std::io::Error::other(NO_FILE)
    })
}

/// Reads all bytes of a file. Fails if there are more than `limit`.
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

/// A limit with its unit, for messages.
fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..0x10_0000 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

/// Reads a regular file of at most 64 MiB. Returns None if it does not exist.
pub fn read_if_exists(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    if_exists(read(path))
}

/// Returns None in place of the error that the file does not exist.
pub fn if_exists(read: Result<Vec<u8>, Error>) -> Result<Option<Vec<u8>>, Error> {
    match read {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.source.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The reason why an output file cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// Its directory does not exist. golden does not create it, because the path may be a mistake.
    #[error("cannot write {}: the directory {} does not exist", path.display(), directory.display())]
    NoDirectory {
        /// The output file as the user named it.
        path: PathBuf,
        /// The missing directory.
        directory: PathBuf,
    },
    /// The path is a directory, device, pipe or socket.
    #[error("{} is not a regular file, so golden does not write to it", .0.display())]
    NotAFile(PathBuf),
    /// The path is not a directory.
    #[error("{} is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// The file cannot be created in its directory.
    #[error("cannot write {}", path.display())]
    File {
        /// The output file as the user named it.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: std::io::Error,
    },
}

impl OutputError {
    /// Returns hints for the user.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::NoDirectory { directory, .. } => {
                vec![format!("mkdir -p {}", directory.display())]
            }
            Self::NotAFile(_) => {
                vec!["name a regular file, or a path that does not exist yet".to_owned()]
            }
            Self::NotADirectory(_) => {
                vec!["name a directory, or a path that does not exist yet".to_owned()]
            }
            Self::File { .. } => Vec::new(),
        }
    }
}

/// Fails if the path of an output directory is a file.
pub fn output_directory(path: &Path) -> Result<(), OutputError> {
    match std::fs::metadata(path) {
        Ok(found) if !found.is_dir() => Err(OutputError::NotADirectory(path.to_owned())),
        _ => Ok(()),
    }
}

/// Checks that an output file can be written. Returns its path with symbolic links followed.
pub fn output(path: &Path) -> Result<PathBuf, OutputError> {
    let failed = |source| OutputError::File {
        path: path.to_owned(),
        source,
    };
    let real = match std::fs::metadata(path) {
        Ok(found) if found.is_file() => std::fs::canonicalize(path).map_err(failed)?,
        Ok(_) => return Err(OutputError::NotAFile(path.to_owned())),
        Err(_) => path.to_owned(),
    };
    let directory = directory_of(&real);
    if !directory.is_dir() {
        return Err(OutputError::NoDirectory {
            path: path.to_owned(),
            directory: directory.to_owned(),
        });
    }
    // Only an attempt shows if the file system allows it.
    let attempt = temporary_in(directory);
    attempt.map(|_| real.clone()).map_err(failed)
}

/// The directory of a file; `.` for a bare file name.
#[must_use]
pub fn directory_of(file: &Path) -> &Path {
    file.parent()
        .filter(|directory| !directory.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Writes a temporary file in the same directory and renames it, so that readers never see a
/// partial file. Creates missing parent directories. The content is on disk when the function
/// returns.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    write_whole(path, bytes, true)
}

/// Replaces the content of files. Follows symbolic links, and keeps the permission bits. Every file
/// is completely written before the first one gets its name, so that nothing changes if one of them
/// cannot be written.
pub fn replace_together<'a>(
    files: impl IntoIterator<Item = (&'a Path, &'a str)>,
) -> Result<(), Error> {
    let mut ready = Vec::new();
    for (path, text) in files {
        let write = || {
            let real = std::fs::canonicalize(path)?;
            let permissions = std::fs::metadata(&real)?.permissions();
            let mut file = temporary_in(directory_of(&real))?;
            file.write_all(text.as_bytes())?;
            file.as_file().set_permissions(permissions)?;
            file.as_file().sync_all()?;
            // A process can have only a limited number of open files.
            Ok((file.into_temp_path(), real))
        };
        ready.push((write().map_err(failed("write", path))?, path));
    }
    for ((file, real), path) in ready {
        let named = file.persist(&real).map_err(|error| error.error);
        named.map_err(failed("write", path))?;
    }
    Ok(())
}

/// Appends to a file, which is created if it does not exist. Fails if it cannot be written.
pub fn append(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut options = std::fs::OpenOptions::new();
    let opened = options.append(true).create(true).open(path);
    opened
        .and_then(|mut file| file.write_all(bytes))
        .map_err(failed("write", path))
}

/// Creates a file that only the user can read. Fails if the path exists.
pub fn create_private(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    create_with(path, bytes, 0o600)
}

/// Creates a file that everyone can read. Fails if the path exists.
pub fn create_public(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    create_with(path, bytes, 0o644)
}

fn create_with(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    let write = || {
        let mut file = options.open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(failed("create", path))
}

/// Like [`write_atomic`], but does not wait for the disk; for content that can be created again.
/// After a crash of the machine the file may be empty, so readers must check that it is complete.
pub fn write_cached(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    write_whole(path, bytes, false)
}

fn write_whole(path: &Path, bytes: &[u8], durable: bool) -> Result<(), Error> {
    let directory = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory).map_err(failed("create", directory))?;
    let write = || {
        let mut file = temporary_in(directory)?;
        file.write_all(bytes)?;
        share(file.as_file())?;
        if durable {
            file.as_file().sync_all()?;
        }
        file.persist(path).map_err(|error| error.error)
    };
    write().map(drop).map_err(failed("write", path))
}

/// Replaces files of the workspace at `root`, which must be canonical. Every file is completely
/// written before the first one gets its name, so that nothing changes if one of them cannot be
/// written. Fails if a directory of a file leads out of the workspace.
pub fn write_together<'a>(
    root: &Path,
    files: impl IntoIterator<Item = (&'a Path, &'a str)>,
) -> Result<(), Error> {
    let mut ready = Vec::new();
    for (relative, text) in files {
        let path = root.join(relative);
        let write = || {
            let name = path.file_name().ok_or(ErrorKind::IsADirectory)?;
            let directory = std::fs::canonicalize(directory_of(&path))?;
            if !directory.starts_with(root) {
                return Err(outside());
            }
            let mut file = UnfinishedFile::in_real(&directory)?;
            file.write_all(text.as_bytes())?;
            file.share()?;
            file.as_file().sync_all()?;
            Ok((file.close(directory), name.to_owned()))
        };
        let written = write().map_err(failed("write", &path))?;
        ready.push((written, path));
    }
    for ((file, name), path) in ready {
        file.persist(&name).map_err(failed("write", &path))?;
    }
    Ok(())
}

fn outside() -> std::io::Error {
    std::io::Error::other("it leads out of the workspace through a symbolic link")
}

/// Writes a file of the directory `root`, and renames it once it is complete. Creates missing
/// directories. Does not wait for the disk. Fails if `root` or a directory below it is a symbolic
/// link, even if it changes while the file is written.
pub fn write_beneath(root: &Path, relative: &Path, bytes: &[u8]) -> Result<(), Error> {
    write_named(root, relative, bytes, false)
}

/// Like [`write_cached`], but `path` must be canonical: fails if a directory of it has been replaced
/// by a symbolic link.
pub fn write_cached_real(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    write_named(Path::new("/"), in_root(path), bytes, false)
}

/// Like [`write_atomic`], but `path` must be canonical: fails if a directory of it has been replaced
/// by a symbolic link.
pub fn write_atomic_real(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    write_named(Path::new("/"), in_root(path), bytes, true)
}

fn write_named(root: &Path, relative: &Path, bytes: &[u8], durable: bool) -> Result<(), Error> {
    let write = || {
        let name = relative.file_name().ok_or(ErrorKind::IsADirectory)?;
        let directory = relative.parent().unwrap_or(Path::new(""));
        let mut file = UnfinishedFile::beneath(root, directory)?;
        file.write_all(bytes)?;
        share(file.as_file())?;
        if durable {
            file.as_file().sync_all()?;
        }
        file.persist(name)
    };
    write().map_err(failed("write", &root.join(relative)))
}

/// Creates a canonical directory and its missing parents. Fails if one of them has been replaced by
/// a symbolic link.
pub fn create_real(directory: &Path) -> std::io::Result<()> {
    make_beneath(Path::new("/"), in_root(directory)).map(drop)
}

/// Creates a directory that the user names, and returns its canonical path.
pub fn real_directory(directory: &Path) -> std::io::Result<PathBuf> {
    std::fs::create_dir_all(directory)?;
    std::fs::canonicalize(directory)
}

/// A path relative to the root directory.
fn in_root(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

/// An open directory.
#[cfg(unix)]
type OpenDirectory = rustix::fd::OwnedFd;
#[cfg(not(unix))]
type OpenDirectory = PathBuf;

/// Opens a directory below `root`, and creates it and its missing parents. Follows no symbolic link.
#[cfg(unix)]
fn make_beneath(root: &Path, relative: &Path) -> std::io::Result<OpenDirectory> {
    let mut directory = open_or_make(rustix::fs::CWD, root)?;
    for part in relative.components() {
        let std::path::Component::Normal(name) = part else {
            return Err(ErrorKind::InvalidInput.into());
        };
        directory = open_or_make(&directory, Path::new(name))?;
    }
    Ok(directory)
}

/// Opens a directory in `parent`, and creates it if it does not exist.
#[cfg(unix)]
fn open_or_make(parent: impl rustix::fd::AsFd, name: &Path) -> std::io::Result<OpenDirectory> {
    use rustix::fs::{Mode, mkdirat, openat};
    use rustix::io::Errno;
    let open = || openat(&parent, name, OPENED | PASSED, Mode::empty());
    let opened = open().or_else(|error| match error {
        Errno::NOENT => match mkdirat(&parent, name, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => open(),
            Err(error) => Err(error),
        },
        error => Err(error),
    });
    opened.map_err(unopened)
}

#[cfg(not(unix))]
fn make_beneath(root: &Path, relative: &Path) -> std::io::Result<OpenDirectory> {
    let directory = root.join(relative);
    std::fs::create_dir_all(&directory)?;
    Ok(directory)
}

/// A file that gets its name once it is complete. Its directory is opened without following a
/// symbolic link, and stays the same directory if its path changes. The file is removed if it is
/// dropped before it is named.
#[derive(Debug)]
pub struct UnfinishedFile {
    file: std::fs::File,
    directory: OpenDirectory,
    /// The temporary name; empty once the file is named.
    name: std::ffi::OsString,
}

impl UnfinishedFile {
    /// Creates a file in a canonical directory, which is created if it does not exist.
    pub fn in_real(directory: &Path) -> std::io::Result<Self> {
        Self::beneath(Path::new("/"), in_root(directory))
    }

    /// Creates a file in the directory `relative` of `root`.
    fn beneath(root: &Path, relative: &Path) -> std::io::Result<Self> {
        static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let directory = make_beneath(root, relative)?;
        loop {
            let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let name = std::ffi::OsString::from(format!("{}{number}", prefix()));
            match create_in(&directory, &name) {
                // Another process with the same id, in another container, may use the name.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(file) => {
                    drop(file.try_lock());
                    return Ok(Self {
                        file,
                        directory,
                        name,
                    });
                }
            }
        }
    }

    /// The open file.
    #[must_use]
    pub const fn as_file(&self) -> &std::fs::File {
        &self.file
    }

    /// Gives the file its name in its directory, in place of an existing file.
    pub fn persist(mut self, name: &std::ffi::OsStr) -> std::io::Result<()> {
        rename_in(&self.directory, &self.name, name)?;
        self.name.clear();
        Ok(())
    }

    /// Closes the file, which is in the canonical `directory`, before it is named. A process can
    /// have only a limited number of open files.
    fn close(mut self, directory: PathBuf) -> ClosedFile {
        ClosedFile {
            directory,
            name: std::mem::take(&mut self.name),
        }
    }

    /// Makes the file readable for everyone.
    pub fn share(&self) -> std::io::Result<()> {
        share(&self.file)
    }
}

/// A complete file that has no name yet, and is not open. It is removed if it is dropped before it
/// is named.
#[derive(Debug)]
struct ClosedFile {
    directory: PathBuf,
    /// The temporary name; empty once the file is named.
    name: std::ffi::OsString,
}

impl ClosedFile {
    /// Opens the directory, without following a symbolic link.
    fn opened(&self) -> std::io::Result<OpenDirectory> {
        make_beneath(Path::new("/"), in_root(&self.directory))
    }

    /// Gives the file its name in its directory, in place of an existing file.
    fn persist(mut self, name: &std::ffi::OsStr) -> std::io::Result<()> {
        rename_in(&self.opened()?, &self.name, name)?;
        self.name.clear();
        Ok(())
    }
}

impl Drop for ClosedFile {
    fn drop(&mut self) {
        if !self.name.is_empty()
            && let Ok(directory) = self.opened()
        {
            // If the file cannot be removed, a later run removes it.
            drop(remove_in(&directory, &self.name));
        }
    }
}

impl Drop for UnfinishedFile {
    fn drop(&mut self) {
        if !self.name.is_empty() {
            // If the file cannot be removed, a later run removes it.
            drop(remove_in(&self.directory, &self.name));
        }
    }
}

impl std::io::Write for UnfinishedFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

impl std::io::Read for UnfinishedFile {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        self.file.read(bytes)
    }
}

impl std::io::Seek for UnfinishedFile {
    fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
        self.file.seek(to)
    }
}

#[cfg(unix)]
fn create_in(directory: &OpenDirectory, name: &std::ffi::OsStr) -> std::io::Result<std::fs::File> {
    use rustix::fs::{Mode, OFlags, openat};
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(directory, name, flags, Mode::from_raw_mode(0o600))?.into())
}

#[cfg(unix)]
fn rename_in(
    directory: &OpenDirectory,
    from: &std::ffi::OsStr,
    to: &std::ffi::OsStr,
) -> std::io::Result<()> {
    Ok(rustix::fs::renameat(directory, from, directory, to)?)
}

#[cfg(unix)]
fn remove_in(directory: &OpenDirectory, name: &std::ffi::OsStr) -> std::io::Result<()> {
    let flags = rustix::fs::AtFlags::empty();
    Ok(rustix::fs::unlinkat(directory, name, flags)?)
}

#[cfg(not(unix))]
fn create_in(directory: &OpenDirectory, name: &std::ffi::OsStr) -> std::io::Result<std::fs::File> {
    std::fs::File::create_new(directory.join(name))
}

#[cfg(not(unix))]
fn rename_in(
    directory: &OpenDirectory,
    from: &std::ffi::OsStr,
    to: &std::ffi::OsStr,
) -> std::io::Result<()> {
    std::fs::rename(directory.join(from), directory.join(to))
}

#[cfg(not(unix))]
fn remove_in(directory: &OpenDirectory, name: &std::ffi::OsStr) -> std::io::Result<()> {
    std::fs::remove_file(directory.join(name))
}

/// Makes the file readable for everyone. Temporary files are readable only for their owner.
#[cfg(unix)]
fn share(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn share(_: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}

/// The bytes that the user can still write to the file system of `path`, or of the nearest
/// directory above it that exists. `None` if the system does not report it.
#[must_use]
pub fn free_bytes(path: &Path) -> Option<u64> {
    let existing = path.ancestors().find(|path| path.exists())?;
    let system = rustix::fs::statvfs(existing).ok()?;
    Some(system.f_bavail.saturating_mul(system.f_frsize))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::{Command, Stdio};

    use super::*;

    /// The id of a process that has ended.
    fn ended() -> u32 {
        let mut child = Command::new("true").stdin(Stdio::null()).spawn().unwrap();
        let number = child.id();
        child.wait().unwrap();
        number
    }

    #[test]
    fn only_files_of_dead_processes_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let abandoned = format!("{UNFINISHED}{}-abc", ended());
        for name in [
            &abandoned,
            ".golden-x-1",
            ".golden-1-init",
            ".golden-",
            "other",
        ] {
            write_cached(&path(name), b"").unwrap();
        }
        let own = temporary_in(directory.path()).unwrap();
        let locked = path(&format!("{UNFINISHED}{}-locked", ended()));
        write_cached(&locked, b"").unwrap();
        let holder = std::fs::File::open(&locked).unwrap();
        holder.lock().unwrap();
        sweep(directory.path());
        assert!(!path(&abandoned).exists());
        assert!(own.path().exists() && locked.exists());
        for name in [".golden-x-1", ".golden-1-init", ".golden-", "other"] {
            assert!(path(name).exists(), "{name}");
        }
    }

    #[test]
    fn only_regular_files_of_the_workspace_are_opened() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let path = |name: &str| root.join(name);
        write_atomic(&path("a/file"), b"1234").unwrap();
        symlink("../a", path("a/up")).unwrap();
        symlink(path("a/file"), path("absolute")).unwrap();
        symlink("/etc/passwd", path("outside")).unwrap();
        symlink("/dev/zero", path("zero")).unwrap();
        assert!(
            Command::new("mkfifo")
                .arg(path("pipe"))
                .status()
                .unwrap()
                .success()
        );
        for name in ["a/file", "a/up/file", "absolute"] {
            assert_eq!(read_in(&root, &path(name), 4).unwrap(), b"1234", "{name}");
        }
        let refused = |name: &str, limit| {
            read_in(&root, &path(name), limit)
                .unwrap_err()
                .source
                .to_string()
        };
        assert_eq!(
            refused("outside", 4),
            "it leads out of the workspace through a symbolic link"
        );
        assert_eq!(
            refused("zero", 4),
            "it leads out of the workspace through a symbolic link"
        );
        assert_eq!(refused("pipe", 4), NO_FILE);
        assert_eq!(refused("a", 4), "is a directory");
        assert_eq!(refused("a/file", 3), "it is longer than 3 bytes");
        // A link that replaces a directory after the path was resolved is not followed.
        assert!(open_beneath(&root, Path::new("a/up/file")).is_err());
        assert!(open_beneath(&root, Path::new("absolute")).is_err());
        assert_eq!(
            read_link_in(&root, &path("a/up")).unwrap(),
            Path::new("../a")
        );
        assert!(read_link_in(&root, &path("a/up/up")).is_err());
    }

    #[test]
    fn files_of_the_state_directory_are_read_without_following_links() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        write_atomic(&root.join("state/a/file"), b"1").unwrap();
        let read = |state: &str, file: &str| read_beneath(&root.join(state), Path::new(file));
        assert_eq!(read("state", "a/file").unwrap().as_deref(), Some(&b"1"[..]));
        assert_eq!(read("state", "a/none").unwrap(), None);
        assert_eq!(read("none", "a/file").unwrap(), None);
        symlink("file", root.join("state/a/link")).unwrap();
        symlink("a", root.join("state/b")).unwrap();
        symlink("state", root.join("other")).unwrap();
        for (state, file) in [
            ("state", "a/link"),
            ("state", "b/file"),
            ("other", "a/file"),
        ] {
            let error = read(state, file).unwrap_err().source.to_string();
            assert!(
                error.starts_with("it or a directory above it was replaced"),
                "{state} {file}: {error}"
            );
        }
    }

    #[test]
    fn a_file_that_was_replaced_by_a_link_is_not_opened_again() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let (file, elsewhere) = (root.join("a/b/file"), root.join("elsewhere"));
        write_atomic(&file, b"1").unwrap();
        write_atomic(&elsewhere.join("file"), b"1").unwrap();
        assert_eq!(read_real(&file).unwrap(), b"1");
        let refused = || open_real(&file).unwrap_err().to_string();
        std::fs::remove_file(&file).unwrap();
        symlink(elsewhere.join("file"), &file).unwrap();
        assert!(refused().starts_with("it or a directory above it was replaced"));
        std::fs::remove_dir_all(root.join("a/b")).unwrap();
        symlink(&elsewhere, root.join("a/b")).unwrap();
        assert!(refused().starts_with("it or a directory above it was replaced"));
        std::fs::remove_dir_all(root.join("a")).unwrap();
        std::fs::create_dir(elsewhere.join("b")).unwrap();
        symlink("file", elsewhere.join("b/file")).unwrap();
        symlink(&elsewhere, root.join("a")).unwrap();
        assert!(refused().starts_with("it or a directory above it was replaced"));
    }

    #[test]
    fn nothing_is_written_through_a_directory_that_was_replaced_by_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let (state, elsewhere) = (root.join("state"), root.join("elsewhere"));
        std::fs::create_dir(&elsewhere).unwrap();
        write_beneath(&state, Path::new("a/b/file"), b"1").unwrap();
        write_atomic_real(&state.join("c/d/file"), b"2").unwrap();
        assert_eq!(read_real(&state.join("a/b/file")).unwrap(), b"1");
        assert_eq!(read_real(&state.join("c/d/file")).unwrap(), b"2");
        let unfinished = UnfinishedFile::in_real(&state.join("a/b")).unwrap();
        for replaced in [state.join("a/b"), state.join("a"), state.clone()] {
            let moved = root.join("moved");
            std::fs::rename(&replaced, &moved).unwrap();
            symlink(&elsewhere, &replaced).unwrap();
            for written in [
                write_beneath(&state, Path::new("a/b/file"), b"3"),
                write_cached_real(&state.join("a/b/file"), b"3"),
                write_atomic_real(&state.join("a/b/new"), b"3"),
            ] {
                let error = written.unwrap_err().source.to_string();
                assert!(
                    error.starts_with("it or a directory above it was replaced"),
                    "{error}"
                );
            }
            assert!(create_real(&state.join("a/b")).is_err());
            assert!(UnfinishedFile::in_real(&state.join("a/b")).is_err());
            std::fs::remove_file(&replaced).unwrap();
            std::fs::rename(&moved, &replaced).unwrap();
        }
        assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
        let file_is_replaced = state.join("a/b/file");
        std::fs::remove_file(&file_is_replaced).unwrap();
        symlink(elsewhere.join("file"), &file_is_replaced).unwrap();
        write_beneath(&state, Path::new("a/b/file"), b"4").unwrap();
        assert_eq!(read_real(&file_is_replaced).unwrap(), b"4");
        assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
        assert!(write_beneath(&state, Path::new("../elsewhere/x"), b"5").is_err());
        std::fs::rename(state.join("a/b"), root.join("moved")).unwrap();
        symlink(&elsewhere, state.join("a/b")).unwrap();
        unfinished.persist("whole".as_ref()).unwrap();
        assert!(root.join("moved/whole").is_file());
        assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
        drop(UnfinishedFile::in_real(&root.join("moved")).unwrap());
        assert_eq!(std::fs::read_dir(root.join("moved")).unwrap().count(), 2);
    }
}
