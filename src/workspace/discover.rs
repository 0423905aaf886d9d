//! Finds the workspace and the files that its globs match.

use crate::glob::{Glob, InvalidGlob};
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use walkdir::WalkDir;

/// The reason why no workspace was found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No golden.toml in the start directory or above it.
    #[error("no golden.toml in {} or in a directory above it, nor in their directories `images`", .0.display())]
    NotFound(PathBuf),
    /// No golden.toml in the directory of `-w`.
    #[error("no golden.toml in {} or in its directory `images`", .0.display())]
    NotThere(PathBuf),
    /// The directory cannot be resolved.
    #[error(transparent)]
    File(#[from] super::state::Error),
}

impl Error {
    /// Returns hints for the user.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::NotFound(_) => {
                vec!["create a workspace with `golden init`, or name one with `-w DIR`".to_owned()]
            }
            Self::NotThere(_) => vec!["create one with `golden init DIR`".to_owned()],
            Self::File(_) => Vec::new(),
        }
    }
}

/// The absolute path of golden.toml: in `named` if given, else in `start` or the nearest directory
/// above it, or in its directory `images`.
pub fn workspace(start: &Path, named: Option<&Path>) -> Result<PathBuf, Error> {
    let find_in = |directory: &Path| {
        let candidates = [
            directory.join("golden.toml"),
            directory.join("images").join("golden.toml"),
        ];
        candidates.into_iter().find(|file| file.is_file())
    };
    let found = match named {
        Some(named) => {
            let directory = start.join(named);
            let file = if directory.is_file() {
                Some(directory.clone())
            } else {
                find_in(&directory)
            };
            file.ok_or(Error::NotThere(directory))?
        }
        None => start
            .ancestors()
            .find_map(find_in)
            .ok_or_else(|| Error::NotFound(start.to_owned()))?,
    };
    let canonical = |file: PathBuf| {
        let directory = file
            .parent()
            .map_or_else(|| PathBuf::from("."), Path::to_owned);
        let name = file.file_name().unwrap_or_default().to_owned();
        std::fs::canonicalize(&directory)
            .map(|directory| directory.join(name))
            .map_err(|source| super::state::Error {
                action: "find",
                path: directory,
                source,
            })
    };
    Ok(canonical(found)?)
}

/// True if the text contains special characters of globs.
#[must_use]
pub fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?', '[', '{'])
}

/// True if a relative path does not leave its start directory.
#[must_use]
pub fn stays_inside(path: &Path) -> bool {
    let mut depth = 0_i32;
    path.components().all(|part| {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir => depth -= 1,
            Component::RootDir | Component::Prefix(_) => return false,
        }
        depth >= 0
    })
}

/// The glob of the image files, if golden.toml has none.
pub const DEFAULT_IMAGES: &str = "**/image.toml";

/// The reason why the files of a glob are not known.
#[derive(Debug, thiserror::Error)]
pub enum GlobError {
    /// The glob cannot be parsed.
    #[error(transparent)]
    Syntax(#[from] InvalidGlob),
    /// A directory in which files may match cannot be read.
    #[error("cannot read {}: {source}", directory.display())]
    Directory {
        /// The directory, relative to the start of the search.
        directory: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
}

impl GlobError {
    /// The next step for the user, if the error is about a glob of image files.
    fn help(&self) -> Option<String> {
        let Self::Directory { directory, .. } = self else {
            return None;
        };
        let narrower = if directory.components().count() > 1 {
            "set `images = [\"*/image.toml\"]` under [workspace]"
        } else {
            "list the image files in `images` under [workspace]"
        };
        Some(format!("{narrower}, or make the directory readable"))
    }
}

/// The reason why the image files are not known.
#[derive(Debug)]
pub struct ImageFilesError {
    /// The reason.
    pub message: String,
    /// The next step for the user.
    pub help: Option<String>,
}

impl From<String> for ImageFilesError {
    fn from(message: String) -> Self {
        let help = None;
        Self { message, help }
    }
}

/// The image files that a glob or a path in golden.toml names, relative to `root`. Fails with the
/// reason if it is not valid, names no file, or a directory cannot be read; a glob may match
/// nothing.
pub fn image_files(root: &Path, glob: &str) -> Result<BTreeSet<PathBuf>, ImageFilesError> {
    if !stays_inside(Path::new(glob)) {
        return Err(format!("`{glob}` leaves the workspace").into());
    }
    let relative = glob.trim_start_matches("./");
    if is_glob(glob) {
        return files(root, relative).map_err(|error| ImageFilesError {
            message: error.to_string(),
            help: error.help(),
        });
    }
    match std::fs::metadata(root.join(glob)) {
        Ok(found) if found.is_file() => Ok(BTreeSet::from([PathBuf::from(relative)])),
        Ok(found) if found.is_dir() => {
            Err(format!("`{glob}` is a directory; an image file is expected").into())
        }
        Err(error) if !is_absence(&error) => Err(format!("cannot read {glob}: {error}").into()),
        _ => Err(format!("`{glob}` does not exist").into()),
    }
}

/// True if the error means that a path does not exist.
fn is_absence(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

/// The components of a glob before the first one with special characters.
#[must_use]
pub fn literal_prefix(pattern: &str) -> PathBuf {
    let mut parts: Vec<&str> = pattern.split('/').collect();
    parts.pop();
    parts
        .into_iter()
        .take_while(|part| !is_glob(part))
        .collect()
}

/// The files below `root` that match `pattern`, relative to `root` and sorted. Hidden directories
/// and symbolic links to directories are not entered unless the pattern names them. Fails if a
/// directory in which a file may match cannot be read.
pub fn files(root: &Path, pattern: &str) -> Result<BTreeSet<PathBuf>, GlobError> {
    matching(root, pattern, false)
}

/// Like [`files`], but also returns directories. A directory that matches is not searched.
pub fn entries(root: &Path, pattern: &str) -> Result<BTreeSet<PathBuf>, GlobError> {
    matching(root, pattern, true)
}

fn matching(
    root: &Path,
    pattern: &str,
    with_directories: bool,
) -> Result<BTreeSet<PathBuf>, GlobError> {
    let glob = Glob::new(pattern.trim_start_matches("./"))?;
    let dotted = pattern
        .split('/')
        .any(|part| part.starts_with('.') && is_glob(part));
    let mut found = BTreeSet::new();
    let start = literal_prefix(pattern);
    // Nothing deeper can match, so a directory there need not be readable.
    let depth = if pattern.contains("**") {
        usize::MAX
    } else {
        let parts = pattern.split('/').count();
        parts.saturating_sub(start.components().count())
    };
    let mut walk = WalkDir::new(root.join(start))
        .min_depth(1)
        .max_depth(depth)
        .sort_by_file_name()
        .into_iter();
    while let Some(entry) = walk.next() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => match unreadable(error, root) {
                Some(error) => return Err(error),
                None => continue,
            },
        };
        let is_directory = entry.file_type().is_dir();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if hidden && is_directory && !dotted {
            walk.skip_current_dir();
            continue;
        }
        let Ok(relative) = entry.path().strip_prefix(root) else {
            continue;
        };
        if glob.is_match(relative)
            && (with_directories || !is_directory)
            && (!hidden || dotted || !with_directories)
        {
            found.insert(relative.to_owned());
            if is_directory {
                walk.skip_current_dir();
            }
        }
    }
    Ok(found)
}

/// The error of a directory that cannot be read. `None` if it does not exist: nothing matches there.
fn unreadable(error: walkdir::Error, root: &Path) -> Option<GlobError> {
    let path = error.path()?;
    let relative = path.strip_prefix(root).unwrap_or(path);
    let directory = if relative.as_os_str().is_empty() {
        path.to_owned()
    } else {
        relative.to_owned()
    };
    let source = error.into_io_error()?;
    (!is_absence(&source)).then_some(GlobError::Directory { directory, source })
}
