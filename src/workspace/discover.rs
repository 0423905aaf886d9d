//! Finds the workspace and the files that its globs match.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use walkdir::WalkDir;

/// The reason why no workspace was found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No golden.toml in the start directory or above it.
    #[error("no golden.toml in {} or in a directory above it", .0.display())]
    NotFound(PathBuf),
    /// No golden.toml in the directory of `-w`.
    #[error("no golden.toml in {}", .0.display())]
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
/// above it.
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

/// The image files that a glob or a path in golden.toml names, relative to `root`. Fails with the
/// reason if it is not valid or names no file; a glob may match nothing.
pub fn image_files(root: &Path, glob: &str) -> Result<BTreeSet<PathBuf>, String> {
    if !stays_inside(Path::new(glob)) {
        return Err(format!("`{glob}` leaves the workspace"));
    }
    let relative = glob.trim_start_matches("./");
    if is_glob(glob) {
        return files(root, relative)
            .map_err(|error| format!("`{glob}` is not a valid glob: {}", error.kind()));
    }
    let path = root.join(glob);
    if path.is_file() {
        Ok(BTreeSet::from([PathBuf::from(relative)]))
    } else if path.is_dir() {
        Err(format!(
            "`{glob}` is a directory; an image file is expected"
        ))
    } else {
        Err(format!("`{glob}` does not exist"))
    }
}

/// Compiles one glob with `/` as separator. `*` does not match `/`.
pub fn glob(pattern: &str) -> Result<GlobSet, globset::Error> {
    let glob = GlobBuilder::new(pattern.trim_start_matches("./"))
        .literal_separator(true)
        .build()?;
    GlobSetBuilder::new().add(glob).build()
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
/// and symbolic links to directories are not entered unless the pattern names them.
pub fn files(root: &Path, pattern: &str) -> Result<BTreeSet<PathBuf>, globset::Error> {
    matching(root, pattern, false)
}

/// Like [`files`], but also returns directories. A directory that matches is not searched.
pub fn entries(root: &Path, pattern: &str) -> Result<BTreeSet<PathBuf>, globset::Error> {
    matching(root, pattern, true)
}

fn matching(
    root: &Path,
    pattern: &str,
    with_directories: bool,
) -> Result<BTreeSet<PathBuf>, globset::Error> {
    let set = glob(pattern)?;
    let dotted = pattern
        .split('/')
        .any(|part| part.starts_with('.') && is_glob(part));
    let mut found = BTreeSet::new();
    let mut walk = WalkDir::new(root.join(literal_prefix(pattern)))
        .min_depth(1)
        .sort_by_file_name()
        .into_iter();
    while let Some(entry) = walk.next() {
        let Ok(entry) = entry else { continue };
        let is_directory = entry.file_type().is_dir();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if hidden && is_directory && !dotted {
            walk.skip_current_dir();
            continue;
        }
        let Ok(relative) = entry.path().strip_prefix(root) else {
            continue;
        };
        if set.is_match(relative)
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
