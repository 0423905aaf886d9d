//! Finding the workspace, and the image files in it (1-spec, 7-rules 9).

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use walkdir::WalkDir;

/// Why there is no workspace.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// None from here upwards.
    #[error("no golden.toml in {} or in a folder above it", .0.display())]
    NotFound(PathBuf),
    /// None where `-w` points.
    #[error("no golden.toml in {}", .0.display())]
    NotThere(PathBuf),
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] super::state::Error),
}

impl Error {
    /// What to do next.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::NotFound(_) => {
                vec!["`golden init` writes a workspace; `-w DIR` names one".to_owned()]
            }
            Self::NotThere(_) => vec!["`golden init DIR` writes one".to_owned()],
            Self::File(_) => Vec::new(),
        }
    }
}

/// The path of golden.toml, absolute: in `named` if given, else from `start` upwards.
pub fn workspace(start: &Path, named: Option<&Path>) -> Result<PathBuf, Error> {
    let there = |folder: &Path| {
        let candidates = [
            folder.join("golden.toml"),
            folder.join("images").join("golden.toml"),
        ];
        candidates.into_iter().find(|file| file.is_file())
    };
    let found = match named {
        Some(named) => {
            let folder = start.join(named);
            let file = if folder.is_file() {
                Some(folder.clone())
            } else {
                there(&folder)
            };
            file.ok_or(Error::NotThere(folder))?
        }
        None => start
            .ancestors()
            .find_map(there)
            .ok_or_else(|| Error::NotFound(start.to_owned()))?,
    };
    let canonical = |file: PathBuf| {
        let folder = file
            .parent()
            .map_or_else(|| PathBuf::from("."), Path::to_owned);
        let name = file.file_name().unwrap_or_default().to_owned();
        std::fs::canonicalize(&folder)
            .map(|folder| folder.join(name))
            .map_err(|source| super::state::Error {
                action: "find",
                path: folder,
                source,
            })
    };
    Ok(canonical(found)?)
}

/// Whether a text has characters of a glob.
#[must_use]
pub fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?', '[', '{'])
}

/// Whether a relative path stays where it begins.
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

/// One glob, `/`-separated, whose `*` stays within a folder's name.
pub fn glob(pattern: &str) -> Result<GlobSet, globset::Error> {
    let glob = GlobBuilder::new(pattern.trim_start_matches("./"))
        .literal_separator(true)
        .build()?;
    GlobSetBuilder::new().add(glob).build()
}

/// The part of a glob before its first special component.
#[must_use]
pub fn literal_prefix(pattern: &str) -> PathBuf {
    let mut parts: Vec<&str> = pattern.split('/').collect();
    parts.pop();
    parts
        .into_iter()
        .take_while(|part| !is_glob(part))
        .collect()
}

/// Files below `root` that fit `pattern`, relative to it, sorted. Neither dot-folders nor symbolic links to folders
/// are entered, unless the pattern itself names them.
pub fn files(root: &Path, pattern: &str) -> Result<BTreeSet<PathBuf>, globset::Error> {
    matching(root, pattern, false)
}

/// As [`files`], and folders too; those are not looked into when they fit.
pub fn entries(root: &Path, pattern: &str) -> Result<BTreeSet<PathBuf>, globset::Error> {
    matching(root, pattern, true)
}

fn matching(
    root: &Path,
    pattern: &str,
    folders: bool,
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
        let is_folder = entry.file_type().is_dir();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if hidden && is_folder && !dotted {
            walk.skip_current_dir();
            continue;
        }
        let Ok(relative) = entry.path().strip_prefix(root) else {
            continue;
        };
        if set.is_match(relative) && (folders || !is_folder) && (!hidden || dotted || !folders) {
            found.insert(relative.to_owned());
            if is_folder {
                walk.skip_current_dir();
            }
        }
    }
    Ok(found)
}
