//! Finds a path in the files of an image, and follows symbolic links.

use crate::inventory::{ImageFiles, LayerFile, LayerFileKind};

/// The maximum number of links on the way to a file, as on Linux.
const MOST_LINKS: usize = 40;

/// The treatment of a link at the end of a path. Links in the directories above are always followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LastLink {
    /// The link itself is found.
    Keep,
    /// The target of the link is found.
    Follow,
}

/// A path that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FoundPath<'a> {
    /// An entry of a layer.
    Entry(&'a LayerFile),
    /// A directory without an entry of its own: a layer contains only files in it.
    ImpliedDirectory,
}

impl FoundPath<'_> {
    /// The permission bits.
    pub(super) const fn mode(self) -> u32 {
        match self {
            Self::Entry(file) => file.mode,
            Self::ImpliedDirectory => 0o755,
        }
    }

    /// The user id and the group id.
    pub(super) const fn owner(self) -> (u64, u64) {
        match self {
            Self::Entry(file) => (file.uid, file.gid),
            Self::ImpliedDirectory => (0, 0),
        }
    }

    /// The type in words.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::ImpliedDirectory => "dir",
            Self::Entry(file) => match file.kind {
                LayerFileKind::Directory => "dir",
                LayerFileKind::File { .. } => "file",
                LayerFileKind::Symlink { .. } => "link",
                LayerFileKind::Link { .. } => "a hard link to a file that is not in the image",
                LayerFileKind::Special => "a device, a pipe or a socket",
            },
        }
    }
}

/// The file at an absolute path. `None` if it does not exist.
pub(super) fn find<'a>(files: &'a ImageFiles, path: &str, last: LastLink) -> Option<FoundPath<'a>> {
    let mut open: Vec<String> = components(path);
    let mut reached: Vec<String> = Vec::new();
    let mut links = 0;
    loop {
        let Some(next) = open.pop() else {
            return at(files, &reached.join("/"));
        };
        if next == ".." {
            reached.pop();
            continue;
        }
        reached.push(next);
        let is_last = open.is_empty();
        match at(files, &reached.join("/"))? {
            FoundPath::Entry(LayerFile {
                kind: LayerFileKind::Symlink { target },
                ..
            }) if !is_last || last == LastLink::Follow => {
                links += 1;
                if links > MOST_LINKS {
                    return None;
                }
                reached.pop();
                if target.starts_with('/') {
                    reached.clear();
                }
                open.extend(components(target));
            }
            FoundPath::Entry(file) if !is_last && file.kind != LayerFileKind::Directory => {
                return None;
            }
            _ => {}
        }
    }
}

/// The components of a path, the last one first.
fn components(path: &str) -> Vec<String> {
    let parts = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".");
    parts.rev().map(str::to_owned).collect()
}

/// The file at a path without links in its directories, relative to the root.
fn at<'a>(files: &'a ImageFiles, path: &str) -> Option<FoundPath<'a>> {
    if path.is_empty() {
        return Some(FoundPath::ImpliedDirectory);
    }
    if let Some(file) = files.files().get(path) {
        return Some(FoundPath::Entry(file));
    }
    let start = format!("{path}/");
    let mut below = files.files().range(start.clone()..);
    let has_files = below
        .next()
        .is_some_and(|(below, _)| below.starts_with(&start));
    has_files.then_some(FoundPath::ImpliedDirectory)
}
