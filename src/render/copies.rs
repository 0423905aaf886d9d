//! Decides which instruction places each file: `COPY --chown --chmod` if it gives exactly the owner,
//! the mode and the directories of the spec, else an archive that `ADD` unpacks.
//!
//! `COPY` gives missing parent directories the owner and the mode of the file. They must therefore
//! exist before: the archive creates them, or `RUN mkdir -p` if an earlier step may create them.

use std::collections::{BTreeMap, BTreeSet};

use crate::oci::tar::EntryKind;
use crate::resolve::image::FileOwner;

/// The mode of a directory that is created only as a parent.
const DIRECTORY_MODE: u32 = 0o755;

/// The maximum number of `COPY` instructions for files: each one is a layer, and an engine supports
/// about 125 layers in an image.
const MOST_COPIES: usize = 16;

/// The maximum number of files in one `COPY` instruction; more are not readable.
const MOST_SOURCES: usize = 24;

/// Directories that every base with a package manager has.
const USUAL_DIRECTORIES: &[&str] = &[
    "bin",
    "etc",
    "home",
    "lib",
    "opt",
    "root",
    "run",
    "sbin",
    "srv",
    "tmp",
    "usr",
    "usr/bin",
    "usr/lib",
    "usr/local",
    "usr/local/bin",
    "usr/local/lib",
    "usr/local/sbin",
    "usr/local/share",
    "usr/sbin",
    "usr/share",
    "var",
    "var/cache",
    "var/lib",
    "var/log",
    "var/tmp",
];

/// A file, a directory or a link of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CopyItem {
    /// The path in the image, without a leading `/`.
    pub(super) path: String,
    pub(super) mode: u32,
    pub(super) owner: FileOwner,
    pub(super) kind: EntryKind,
}

/// The knowledge about the directories of the base.
#[derive(Debug, Clone, Copy)]
pub(super) enum BaseDirectories<'a> {
    /// All exist except these.
    AllExcept(&'a BTreeSet<String>),
    /// The base has no directory.
    None,
    /// The usual ones exist. Others may exist.
    Usual,
}

impl BaseDirectories<'_> {
    fn has(self, path: &str) -> bool {
        match self {
            Self::AllExcept(missing) => !missing.contains(path),
            Self::None => false,
            Self::Usual => USUAL_DIRECTORIES.contains(&path),
        }
    }
}

/// The names that `COPY` can give to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CopyNames {
    /// All names.
    Any,
    /// Names in ASCII. Buildah writes a new name into an archive that cannot hold others ("USTAR
    /// cannot encode Name").
    Ascii,
}

impl CopyNames {
    fn has(self, path: &str) -> bool {
        self == Self::Any || path.is_ascii()
    }
}

/// The way in which a missing directory is created before `COPY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DirectoryCreation {
    /// An entry of the archive creates it.
    Archive,
    /// `RUN mkdir -p` creates it, and keeps a directory that an earlier step has created.
    Step,
    /// Neither is possible: the base may have the directory with another mode, and nothing may be
    /// executed. The archive then contains the files themselves.
    Impossible,
}

/// The instructions that place the files of an image. The Dockerfile has them in the order of the
/// fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FileInstructions {
    /// The entries of the archive.
    pub(super) archive: Vec<CopyItem>,
    /// True if `COPY` could place more files of the archive, but with too many instructions.
    pub(super) is_large: bool,
    /// The directories for `RUN mkdir -p`.
    pub(super) directories: Vec<String>,
    /// The `COPY` instructions.
    pub(super) copies: Vec<CopyGroup>,
}

/// One `COPY` instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CopyGroup {
    /// The value of `--chown`; empty for root.
    pub(super) owner: String,
    pub(super) mode: u32,
    /// The files: name in the context, and content.
    pub(super) sources: Vec<(String, EntryKind)>,
    /// The target: a file, or a directory with a `/` at its end.
    pub(super) target: String,
}

impl CopyGroup {
    /// True if the parent directories that it creates have owner root and the usual mode.
    fn creates_usual_directories(&self) -> bool {
        self.owner.is_empty() && self.mode == DIRECTORY_MODE
    }

    /// The directory of the files, without a leading `/`.
    fn directory(&self) -> &str {
        let target = self.target.trim_start_matches('/');
        target
            .rsplit_once('/')
            .map_or("", |(directory, _)| directory)
    }
}

/// Arranges files. `context` is the directory for them in the build context, and `names` are those
/// that the builder can give to them.
pub(super) fn arrange(
    items: Vec<CopyItem>,
    context: &str,
    directories: BaseDirectories<'_>,
    creation: DirectoryCreation,
    names: CopyNames,
) -> FileInstructions {
    let own: BTreeSet<String> = items
        .iter()
        .filter(|item| item.kind == EntryKind::Directory)
        .map(|item| item.path.clone())
        .collect();
    let exists = |path: &str| path.is_empty() || own.contains(path) || directories.has(path);
    let is_copied = |item: &CopyItem| {
        let (directory, _) = item.path.rsplit_once('/').unwrap_or_default();
        let all_exist = || exists(directory) && above(directory).all(exists);
        is_expressible(item, names) && (creation != DirectoryCreation::Impossible || all_exist())
    };
    let (copied, archive): (Vec<CopyItem>, Vec<CopyItem>) =
        items.clone().into_iter().partition(is_copied);
    let mut copies = groups(copied, context);
    if copies.len() > MOST_COPIES || copies.iter().any(|copy| copy.sources.len() > MOST_SOURCES) {
        return FileInstructions {
            archive: items,
            is_large: true,
            ..FileInstructions::default()
        };
    }
    copies.sort_by_key(|copy| !copy.creates_usual_directories());
    let missing = missing(&copies, &exists);
    match creation {
        DirectoryCreation::Step => FileInstructions {
            archive,
            directories: deepest(&missing),
            copies,
            ..FileInstructions::default()
        },
        DirectoryCreation::Archive | DirectoryCreation::Impossible => FileInstructions {
            archive: missing
                .iter()
                .map(|path| directory(path))
                .chain(archive)
                .collect(),
            copies,
            ..FileInstructions::default()
        },
    }
}

/// True if `COPY` can express an item: it is a file without set-id and sticky bits, and the builder
/// can give it its name. No line of a Dockerfile can contain control characters.
fn is_expressible(item: &CopyItem, names: CopyNames) -> bool {
    let is_file = matches!(item.kind, EntryKind::File(_));
    let can_be_named = !item.path.contains(char::is_control) && names.has(&item.path);
    is_file && item.mode <= 0o777 && can_be_named
}

/// The paths of the parent directories.
fn above(path: &str) -> impl Iterator<Item = &str> {
    path.rmatch_indices('/').map(|(at, _)| &path[..at])
}

/// The directories that must be created before `COPY`, parents first.
fn missing(copies: &[CopyGroup], exists: &impl Fn(&str) -> bool) -> BTreeSet<String> {
    let of = |copy: &CopyGroup| -> BTreeSet<String> {
        let directory = copy.directory();
        let all = above(directory).chain([directory]);
        all.filter(|path| !exists(path))
            .map(str::to_owned)
            .collect()
    };
    let (usual, others): (Vec<_>, Vec<_>) = copies
        .iter()
        .partition(|copy| copy.creates_usual_directories());
    let created: BTreeSet<String> = usual.into_iter().flat_map(of).collect();
    others
        .into_iter()
        .flat_map(of)
        .filter(|path| !created.contains(path))
        .collect()
}

/// The directories that are not a parent of another one.
fn deepest(directories: &BTreeSet<String>) -> Vec<String> {
    let parents: BTreeSet<&str> = directories.iter().flat_map(|path| above(path)).collect();
    let is_deepest = |path: &&String| !parents.contains(path.as_str());
    directories.iter().filter(is_deepest).cloned().collect()
}

fn directory(path: &str) -> CopyItem {
    CopyItem {
        path: path.to_owned(),
        mode: DIRECTORY_MODE,
        owner: FileOwner::ROOT,
        kind: EntryKind::Directory,
    }
}

/// Groups files with the same directory, owner and mode, in the order of the spec. A file whose
/// name in the context differs has a group of its own.
fn groups(items: Vec<CopyItem>, context: &str) -> Vec<CopyGroup> {
    let mut names = BTreeSet::new();
    let mut groups: Vec<CopyGroup> = Vec::new();
    let mut by_key: BTreeMap<(String, String, u32), usize> = BTreeMap::new();
    for item in items {
        let owner = chown(&item.owner);
        let source = format!("{context}/{}", context_name(&item.path, &mut names));
        let (directory, name) = item.path.rsplit_once('/').unwrap_or(("", &item.path));
        let keeps_name = source.rsplit('/').next() == Some(name);
        let key = (directory.to_owned(), owner.clone(), item.mode);
        if let Some(at) = by_key.get(&key).filter(|_| keeps_name) {
            let group = &mut groups[*at];
            group.sources.push((source, item.kind));
            group.target = if directory.is_empty() {
                "/".to_owned()
            } else {
                format!("/{directory}/")
            };
            continue;
        }
        if keeps_name {
            by_key.insert(key, groups.len());
        }
        groups.push(CopyGroup {
            owner,
            mode: item.mode,
            sources: vec![(source, item.kind)],
            target: format!("/{}", item.path),
        });
    }
    groups
}

/// The value of `--chown`; empty for root.
pub(super) fn chown(owner: &FileOwner) -> String {
    match owner {
        FileOwner::Numeric { uid: 0, gid: 0 } => String::new(),
        FileOwner::Numeric { uid, gid } => format!("{uid}:{gid}"),
        FileOwner::Named { user, group } => match group {
            Some(group) => format!("{user}:{group}"),
            None => user.clone(),
        },
    }
}

/// The name of a file in the context: its path in the image, with only those characters that need no
/// quotes. Names differ also where case does not count.
fn context_name(path: &str, names: &mut BTreeSet<String>) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._+-".contains(c);
    let plain: String = path
        .chars()
        .map(|c| if is_plain(c) { c } else { '_' })
        .collect();
    let mut name = plain.clone();
    let mut number = 2;
    while !names.insert(name.to_ascii_lowercase()) {
        name = format!("{plain}-{number}");
        number += 1;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Content;

    fn file(path: &str, mode: u32, uid: u32) -> CopyItem {
        CopyItem {
            path: path.to_owned(),
            mode,
            owner: FileOwner::Numeric { uid, gid: uid },
            kind: EntryKind::File(Content::inline(*b"x")),
        }
    }

    fn link(path: &str) -> CopyItem {
        CopyItem {
            kind: EntryKind::Symlink("x".to_owned()),
            ..file(path, 0o777, 0)
        }
    }

    /// An arrangement as one line per instruction.
    fn shown(arrangement: &FileInstructions) -> Vec<String> {
        let paths = |items: &[CopyItem]| {
            let all: Vec<String> = items
                .iter()
                .map(|item| format!("{}:{:o}", item.path, item.mode))
                .collect();
            all.join(" ")
        };
        let mut out = Vec::new();
        if !arrangement.archive.is_empty() {
            out.push(format!("add {}", paths(&arrangement.archive)));
        }
        if !arrangement.directories.is_empty() {
            out.push(format!("mkdir {}", arrangement.directories.join(" ")));
        }
        for copy in &arrangement.copies {
            let names: Vec<&str> = copy.sources.iter().map(|(name, _)| name.as_str()).collect();
            out.push(format!(
                "copy {:o} {} {} {}",
                copy.mode,
                copy.owner,
                names.join(" "),
                copy.target
            ));
        }
        out
    }

    #[test]
    fn files_in_existing_directories_are_copied_in_groups() {
        let missing = BTreeSet::new();
        let items = vec![
            file("etc/a", 0o644, 0),
            link("etc/l"),
            file("usr/bin/tool", 0o4755, 0),
            file("etc/b", 0o644, 0),
            file("etc/c", 0o600, 0),
            file("etc/d e", 0o644, 0),
            file("etc/d_e", 0o644, 0),
            file("etc/ü", 0o644, 0),
            file("top", 0o644, 7),
        ];
        let arranged = |names| {
            let known = BaseDirectories::AllExcept(&missing);
            let items = items.clone();
            shown(&arrange(
                items,
                "files",
                known,
                DirectoryCreation::Archive,
                names,
            ))
        };
        assert_eq!(
            arranged(CopyNames::Any),
            [
                "add etc/l:777 usr/bin/tool:4755",
                "copy 644  files/etc/a files/etc/b /etc/",
                "copy 600  files/etc/c /etc/c",
                "copy 644  files/etc/d_e /etc/d e",
                "copy 644  files/etc/d_e-2 /etc/d_e",
                "copy 644  files/etc/_ /etc/ü",
                "copy 644 7:7 files/top /top",
            ]
        );
        assert_eq!(
            arranged(CopyNames::Ascii),
            [
                "add etc/l:777 usr/bin/tool:4755 etc/ü:644",
                "copy 644  files/etc/a files/etc/b /etc/",
                "copy 600  files/etc/c /etc/c",
                "copy 644  files/etc/d_e /etc/d e",
                "copy 644  files/etc/d_e-2 /etc/d_e",
                "copy 644 7:7 files/top /top",
            ]
        );
    }

    #[test]
    fn missing_directories_are_created_with_the_usual_mode() {
        let items = || vec![file("a/b/c", 0o644, 0), file("a/x/y/z", 0o755, 9)];
        let missing: BTreeSet<String> = ["a/b", "a/x", "a/x/y"]
            .iter()
            .map(|path| (*path).to_owned())
            .collect();
        let known = BaseDirectories::AllExcept(&missing);
        let copies = [
            "copy 644  files/a/b/c /a/b/c",
            "copy 755 9:9 files/a/x/y/z /a/x/y/z",
        ];
        let by = |creation| shown(&arrange(items(), "files", known, creation, CopyNames::Any));
        assert_eq!(
            by(DirectoryCreation::Archive)[0],
            "add a/b:755 a/x:755 a/x/y:755"
        );
        assert_eq!(by(DirectoryCreation::Archive)[1..], copies);
        assert_eq!(by(DirectoryCreation::Step)[0], "mkdir a/b a/x/y");
        assert_eq!(by(DirectoryCreation::Step)[1..], copies);
        assert_eq!(
            by(DirectoryCreation::Impossible),
            ["add a/b/c:644 a/x/y/z:755"],
            "the archive creates the parents"
        );
    }

    #[test]
    fn an_executable_of_root_creates_the_directories_for_others() {
        let items = vec![
            file("app/lib/data", 0o644, 0),
            file("app/bin/run", 0o755, 0),
        ];
        let (known, creation) = (BaseDirectories::None, DirectoryCreation::Archive);
        let arranged = arrange(items, "files", known, creation, CopyNames::Any);
        assert_eq!(
            shown(&arranged),
            [
                "add app/lib:755",
                "copy 755  files/app/bin/run /app/bin/run",
                "copy 644  files/app/lib/data /app/lib/data",
            ]
        );
    }

    #[test]
    fn many_instructions_become_one_archive() {
        let items = |directories: u32, files: u32| {
            let file = |directory, name| file(&format!("d{directory}/f{name}"), 0o644, 0);
            (0..directories)
                .flat_map(|directory| (0..files).map(move |name| file(directory, name)))
                .collect::<Vec<_>>()
        };
        let missing = BTreeSet::new();
        let arranged = |directories, files| {
            let known = BaseDirectories::AllExcept(&missing);
            let items = items(directories, files);
            arrange(
                items,
                "files",
                known,
                DirectoryCreation::Archive,
                CopyNames::Any,
            )
        };
        assert_eq!(arranged(16, 24).copies.len(), 16);
        for (directories, files) in [(17, 1), (1, 25)] {
            let many = arranged(directories, files);
            assert!(many.is_large && many.copies.is_empty());
            assert_eq!(many.archive, items(directories, files));
        }
    }
}
