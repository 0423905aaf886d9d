//! The files of a build context, and the sources of `COPY` and `ADD` in it.

use std::collections::BTreeMap;

use super::ignore::source_pattern;

/// The files, directories and links of a build context, by their paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildContext {
    /// The entries, without those that `.dockerignore` excludes.
    pub entries: BTreeMap<String, ContextEntry>,
}

/// An entry of a build context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextEntry {
    /// The permission bits.
    pub mode: u32,
    /// The kind.
    pub kind: ContextKind,
}

/// The kind of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextKind {
    /// A regular file.
    File(ContextContent),
    /// A directory.
    Directory,
    /// A symbolic link to this target.
    Link(String),
}

/// The kind of content of a file, as far as the import depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContextContent {
    /// A PEM file with certificates and without keys.
    Certificates,
    /// A tar archive, also a compressed one, which `ADD` unpacks.
    Archive,
    /// Anything else.
    Other,
}

/// The directory next to image.toml with the files of the build context.
pub(super) const FILES: &str = "files";
/// The same for files whose mode a spec must name. A directory of [`FILES`] has none of them, so
/// that one source places it.
pub(super) const MODES: &str = "files-with-modes";

/// The entries that a source names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Selected {
    /// The path of the entry; empty for the whole context.
    pub(super) path: String,
    /// True if the path is a directory, whose content is copied.
    pub(super) is_directory: bool,
}

impl BuildContext {
    /// The entries that a source of `COPY` names; empty if it does not exist.
    pub(super) fn select(&self, source: &str) -> Vec<Selected> {
        let path = cleaned(source);
        if path.is_empty() || self.entries.contains_key(&path) {
            return vec![self.selected(&path)];
        }
        if !path.contains(['*', '?', '[']) {
            return Vec::new();
        }
        let Some(pattern) = source_pattern(&path) else {
            return Vec::new();
        };
        let matching = self.entries.keys().filter(|path| pattern.is_match(path));
        matching.map(|path| self.selected(path)).collect()
    }

    /// The path next to image.toml that an entry is copied to.
    pub(super) fn destination(&self, path: &str) -> String {
        let is_unusual = |entry: &ContextEntry| unusual_mode(entry).is_some();
        match path {
            "" => FILES.to_owned(),
            path if self.entries.get(path).is_some_and(is_unusual) => format!("{MODES}/{path}"),
            path => format!("{FILES}/{path}"),
        }
    }

    fn selected(&self, path: &str) -> Selected {
        let is_directory = match self.entries.get(path).map(|entry| &entry.kind) {
            None | Some(ContextKind::Directory) => true,
            Some(ContextKind::File(_)) => false,
            Some(ContextKind::Link(target)) => self
                .entries
                .get(&joined(parent(path), target))
                .is_some_and(|entry| entry.kind == ContextKind::Directory),
        };
        Selected {
            path: path.to_owned(),
            is_directory,
        }
    }

    /// The entries below a directory, with their paths relative to it.
    pub(super) fn below<'c>(
        &'c self,
        directory: &str,
    ) -> impl Iterator<Item = (&'c str, &'c ContextEntry)> + use<'c> {
        let prefix = if directory.is_empty() {
            String::new()
        } else {
            format!("{directory}/")
        };
        let start = prefix.clone();
        self.entries
            .range(start..)
            .take_while({
                let prefix = prefix.clone();
                move |(path, _)| path.starts_with(&prefix)
            })
            .map(move |(path, entry)| (&path[prefix.len()..], entry))
    }
}

/// A path of the context without `.`, `..` and slashes at its ends.
fn cleaned(source: &str) -> String {
    joined("", source)
}

/// The directory of a path.
pub(super) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// A path relative to a directory, without `.` and `..`; the root has no parent.
pub(super) fn joined(directory: &str, path: &str) -> String {
    let start = if path.starts_with('/') { "" } else { directory };
    let mut parts: Vec<&str> = Vec::new();
    for part in start.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The mode of a file that a spec must name, because golden would give another one.
pub(super) fn unusual_mode(entry: &ContextEntry) -> Option<u32> {
    let is_file = matches!(entry.kind, ContextKind::File(_));
    let usual = if entry.mode & 0o111 == 0 {
        0o644
    } else {
        0o755
    };
    Some(entry.mode).filter(|mode| is_file && *mode != usual)
}
