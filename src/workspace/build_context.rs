//! Reads the build context of a Dockerfile, and copies files of it.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::certificates;
use super::file_error::Error;
use super::fs;
use crate::import::{BuildContext, ContextContent, ContextEntry, ContextKind, IgnoreRules};

/// The maximum number of entries of a build context.
const MAX_ENTRIES: usize = 200_000;

/// The longest file that may be a certificate, in bytes.
const MAX_CERTIFICATE: u64 = 64 << 10;

/// Reads the entries of a build context, without those that the `.dockerignore` of the Dockerfile
/// excludes.
pub fn read(directory: &Path, dockerfile: &Path) -> Result<BuildContext, Error> {
    let rules = ignore_rules(directory, dockerfile)?;
    let mut context = BuildContext::default();
    let relative = |path: &Path| -> Option<String> {
        let path = path.strip_prefix(directory).ok()?.to_str()?;
        Some(path.to_owned())
    };
    let is_entered = |entry: &walkdir::DirEntry| {
        let is_in_git = entry
            .path()
            .parent()
            .is_some_and(|parent| parent.ends_with(".git"));
        let is_excluded = rules.has_no_exceptions()
            && relative(entry.path()).is_some_and(|path| rules.excludes(&path));
        entry.depth() == 0 || !(is_in_git || is_excluded)
    };
    let entries = WalkDir::new(directory)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(is_entered);
    for entry in entries {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(directory).to_owned();
            failed(&path)(error.into())
        })?;
        if entry.depth() == 0 {
            continue;
        }
        let Some(path) = relative(entry.path()) else {
            let kind = std::io::ErrorKind::InvalidFilename;
            return Err(failed(entry.path())(kind.into()));
        };
        if rules.excludes(&path) {
            continue;
        }
        if context.entries.len() == MAX_ENTRIES {
            let message = format!("the build context has more than {MAX_ENTRIES} files");
            return Err(failed(directory)(std::io::Error::other(message)));
        }
        if let Some(found) = read_entry(&entry)? {
            context.entries.insert(path, found);
        }
    }
    Ok(context)
}

/// Copies entries of a build context to another directory, each to the path that it has there, and
/// returns the paths of the copies. Fails before the first copy if one of them exists.
pub fn copy(
    from: &Path,
    to: &Path,
    paths: &BTreeMap<String, String>,
) -> Result<Vec<PathBuf>, Error> {
    let is_directory = |path: &str| from.join(path).is_dir() && !from.join(path).is_symlink();
    for (_, target) in paths.iter().filter(|(path, _)| !is_directory(path)) {
        let target = to.join(target);
        if target.symlink_metadata().is_ok() {
            return Err(Error {
                action: "create",
                path: target,
                source: std::io::ErrorKind::AlreadyExists.into(),
            });
        }
    }
    let mut copies = Vec::new();
    for (path, target) in paths {
        let (source, target) = (from.join(path), to.join(target));
        let parent = fs::directory_of(&target);
        if is_directory(path) {
            std::fs::create_dir_all(&target).map_err(failed(&target))?;
            continue;
        }
        std::fs::create_dir_all(parent).map_err(failed(parent))?;
        if source.is_symlink() {
            let link = std::fs::read_link(&source).map_err(failed(&source))?;
            std::os::unix::fs::symlink(link, &target).map_err(failed(&target))?;
        } else {
            std::fs::copy(&source, &target).map_err(failed(&source))?;
        }
        copies.push(target);
    }
    Ok(copies)
}

/// The rules of `DOCKERFILE.dockerignore`, or else of `.dockerignore`.
fn ignore_rules(directory: &Path, dockerfile: &Path) -> Result<IgnoreRules, Error> {
    let mut own = dockerfile.file_name().unwrap_or_default().to_owned();
    own.push(".dockerignore");
    for path in [
        dockerfile.with_file_name(own),
        directory.join(".dockerignore"),
    ] {
        if let Some(bytes) = fs::read_if_exists(&path)? {
            return Ok(IgnoreRules::parse(&String::from_utf8_lossy(&bytes)));
        }
    }
    Ok(IgnoreRules::default())
}

/// An entry; `None` for a device, a pipe or a socket.
fn read_entry(entry: &walkdir::DirEntry) -> Result<Option<ContextEntry>, Error> {
    let path = entry.path();
    let metadata = entry
        .metadata()
        .map_err(|error| failed(path)(error.into()))?;
    let kind = if metadata.is_dir() {
        ContextKind::Directory
    } else if metadata.is_symlink() {
        let target = std::fs::read_link(path).map_err(failed(path))?;
        ContextKind::Link(target.to_string_lossy().into_owned())
    } else if metadata.is_file() {
        ContextKind::File(content(path, metadata.len())?)
    } else {
        return Ok(None);
    };
    Ok(Some(ContextEntry {
        mode: metadata.permissions().mode() & 0o7777,
        kind,
    }))
}

/// The kind of content of a file, by its name.
fn content(path: &Path, length: u64) -> Result<ContextContent, Error> {
    const ARCHIVES: [&str; 9] = [
        ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst",
    ];
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    if ARCHIVES.iter().any(|end| name.ends_with(end)) {
        return Ok(ContextContent::Archive);
    }
    let may_be = [".crt", ".pem", ".cer"]
        .iter()
        .any(|end| name.ends_with(end));
    if !may_be || length > MAX_CERTIFICATE {
        return Ok(ContextContent::Other);
    }
    let bytes = fs::read_up_to(path, MAX_CERTIFICATE)?;
    // The trust store has one file for each certificate.
    let is_one = certificates::parse(path, &bytes).is_ok_and(|found| found.len() == 1);
    Ok(if is_one {
        ContextContent::Certificates
    } else {
        ContextContent::Other
    })
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error {
        action: "read",
        path,
        source,
    }
}
