//! Merges the entries of `[[files]]` and finds two sources for one target, as far as the spec shows
//! it. Conflicts that depend on directories and links of the base are found later, when the files
//! are placed on the base.

use std::collections::BTreeMap;

use super::image::{FileEntry, FileKind};

/// The files of an image, and the conflicts between them.
#[derive(Debug, Default)]
pub struct MergedFiles {
    /// The entries in the order of the spec; each directory occurs once.
    pub files: Vec<FileEntry>,
    /// Pairs of entries that cannot both be placed.
    pub conflicts: Vec<Conflict>,
}

/// Two entries that cannot both be placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The number of the earlier `[[files]]`.
    pub first: usize,
    /// The number of the later `[[files]]`, or the same one.
    pub second: usize,
    /// The message; it names both sources and the target.
    pub message: String,
}

/// Merges the entries of all `[[files]]`; each comes with the position of its `[[files]]`. A
/// directory that comes from several sources is placed once. Its owner and mode come from the table
/// for which `is_explicit` is true because it names the directory itself, or else from the first
/// source.
pub fn merge(
    expanded: Vec<(usize, FileEntry)>,
    is_explicit: impl Fn(usize) -> bool,
) -> MergedFiles {
    let conflicts = conflicts(&expanded);
    let mut directories: BTreeMap<String, (usize, bool)> = BTreeMap::new();
    let mut files: Vec<FileEntry> = Vec::with_capacity(expanded.len());
    for (number, entry) in expanded {
        let explicit = is_explicit(number);
        if entry.kind != FileKind::Directory {
            files.push(entry);
            continue;
        }
        let Some((position, fixed)) = directories.get_mut(&entry.path) else {
            directories.insert(entry.path.clone(), (files.len(), explicit));
            files.push(entry);
            continue;
        };
        if explicit && !*fixed {
            files[*position] = entry;
            *fixed = true;
        }
    }
    MergedFiles { files, conflicts }
}

/// The conflicts that exist on every base.
fn conflicts(entries: &[(usize, FileEntry)]) -> Vec<Conflict> {
    let mut occupied: BTreeMap<&str, usize> = BTreeMap::new();
    let mut found = Vec::new();
    let mut report = |one: usize, other: usize, message| {
        let (one, other) = (entries[one].0, entries[other].0);
        found.push(Conflict {
            first: one.min(other),
            second: one.max(other),
            message,
        });
    };
    for (position, (_, entry)) in entries.iter().enumerate() {
        if entry.kind == FileKind::Directory {
            continue;
        }
        let first = *occupied.entry(&entry.path).or_insert(position);
        let other = &entries[first].1;
        if first != position && !may_differ(other, entry) {
            report(
                first,
                position,
                same_target(&other.origin, &entry.origin, &entry.path),
            );
        }
    }
    for (position, (_, entry)) in entries.iter().enumerate() {
        let itself = (entry.kind == FileKind::Directory).then_some(entry.path.as_str());
        let above = entry
            .path
            .match_indices('/')
            .map(|(at, _)| &entry.path[..at]);
        let in_the_way = |path: &str| {
            let occupant = *occupied.get(path)?;
            is_in_the_way(occupant, &entries[occupant].1, position).then_some(occupant)
        };
        if let Some(occupant) = above.chain(itself).find_map(in_the_way) {
            let other = &entries[occupant].1;
            let message = if other.path == entry.path {
                same_target(&other.origin, &entry.origin, &entry.path)
            } else {
                let what = match other.kind {
                    FileKind::Symlink(_) => "replaced by a symbolic link later",
                    FileKind::File(_) | FileKind::Directory => "a file",
                };
                let (below, above) = (&entry.origin, &other.origin);
                let (inner, outer) = (&entry.path, &other.path);
                format!(
                    "`{inner}` cannot be placed in `{outer}`, which is {what} (from `{below}` and `{above}`)"
                )
            };
            report(occupant, position, message);
        }
    }
    found
}

/// True if the occupant of a path prevents an entry below that path. A link that is placed before
/// the entry leads it elsewhere. A file with `name_inside` may go into a directory of the base.
const fn is_in_the_way(at: usize, occupant: &FileEntry, entry: usize) -> bool {
    match occupant.kind {
        FileKind::Symlink(_) => entry < at,
        FileKind::File(_) => occupant.name_inside.is_none(),
        FileKind::Directory => false,
    }
}

/// True if two sources for one path may get different paths, because the path may be a directory in
/// the base.
fn may_differ(one: &FileEntry, other: &FileEntry) -> bool {
    one.name_inside.is_some() && other.name_inside.is_some() && one.name_inside != other.name_inside
}

/// The message about two sources for one target.
#[must_use]
pub fn same_target(first: &str, second: &str, path: &str) -> String {
    format!("`{first}` and `{second}` have the same target, `{path}`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Content;
    use crate::resolve::image::FileOwner;

    fn entry(text: &str) -> FileEntry {
        let (kind, rest) = text.split_once(' ').unwrap();
        let (path, name) = rest.split_once(" as ").unwrap_or((rest, ""));
        let kind = match kind {
            "d" => FileKind::Directory,
            "l" => FileKind::Symlink("x".to_owned()),
            _ => FileKind::File(Content::inline(*b"")),
        };
        let mut entry = FileEntry::new(
            path,
            0o644,
            FileOwner::ROOT,
            kind,
            format!("source of {path}"),
        );
        entry.name_inside = Some(name.to_owned()).filter(|name| !name.is_empty());
        entry
    }

    #[test]
    fn two_sources_for_one_target_are_a_conflict() {
        for (entries, conflicts) in [
            (&["f /a", "f /b", "l /c", "d /d", "d /d"][..], 0),
            (&["f /a", "f /a"], 1),
            (&["f /a", "l /a"], 1),
            (&["l /a", "l /a"], 1),
            (&["f /a", "d /a"], 1),
            (&["d /a", "f /a"], 1),
            (&["f /a", "f /a/b"], 1),
            (&["f /a/b", "f /a"], 1),
            // The base may have a directory /a, into which the file goes.
            (&["f /a as tool", "f /a/b"], 0),
            (&["f /a as tool", "f /a as other"], 0),
            (&["f /a as tool", "f /a as tool"], 1),
            (&["f /a as tool", "f /a"], 1),
            (&["l /a", "f /a/b"], 0),
            (&["f /a/b", "l /a"], 1),
        ] {
            let expanded = entries.iter().map(|text| entry(text)).enumerate().collect();
            assert_eq!(
                merge(expanded, |_| false).conflicts.len(),
                conflicts,
                "{entries:?}"
            );
        }
        let conflict = merge(vec![(0, entry("f /a")), (3, entry("f /a"))], |_| false)
            .conflicts
            .remove(0);
        assert_eq!((conflict.first, conflict.second), (0, 3));
        assert_eq!(
            conflict.message,
            "`source of /a` and `source of /a` have the same target, `/a`"
        );
    }

    #[test]
    fn a_directory_is_placed_once_as_its_own_table_says() {
        let with_mode = |mode| FileEntry {
            mode,
            ..entry("d /a")
        };
        for (explicit, mode) in [
            (vec![], 0o1),
            (vec![1], 0o2),
            (vec![0, 1], 0o1),
            (vec![2], 0o4),
        ] {
            let expanded = vec![
                (0, with_mode(0o1)),
                (1, with_mode(0o2)),
                (2, with_mode(0o4)),
            ];
            let merged = merge(expanded, |number| explicit.contains(&number));
            let modes: Vec<u32> = merged.files.iter().map(|entry| entry.mode).collect();
            assert_eq!(modes, [mode], "{explicit:?}");
        }
    }
}
