//! Puts the files of an image into the build context.
//!
//! An archive in the context holds the files. `ADD` unpacks it with modes, set-id and sticky bits
//! and numeric owners on every builder. If the base cannot be read, the numbers of owner names are
//! unknown, and `COPY --chown` places the files of named owners.

use std::collections::BTreeMap;

use super::form::{ContextFiles, Form};
use crate::oci::Content;
use crate::oci::tar::{Entry, EntryKind};
use crate::resolve::ResolvedImage;
use crate::resolve::image::{Base, Family, FileEntry, FileKind, FileOwner};

/// The name of the archive with the files. `suffix` distinguishes several images of one directory.
pub(super) fn files_archive(suffix: &str) -> String {
    format!("files{suffix}.tar")
}

/// The name of the archive with the certificates.
pub(super) fn certificates_archive(suffix: &str) -> String {
    format!("certificates{suffix}.tar")
}

/// The files of an image, grouped by the instruction that places them.
#[derive(Debug, Default)]
pub(super) struct PlacedFiles {
    /// Entries of the archive, in the order of the spec; `None` until the base is known.
    archive: Option<Vec<Entry>>,
    /// Groups of files whose owners are names.
    pub(super) named: Vec<Group>,
    /// Distinguishes several images of one directory.
    suffix: String,
}

/// Files with one owner in one directory of the image.
#[derive(Debug)]
pub(super) struct Group {
    /// `USER[:GROUP]`.
    pub(super) owner: String,
    /// The directory in the context.
    pub(super) directory: String,
    /// The directory in the image, with a `/` at its end.
    pub(super) target: String,
    /// The entries, with paths relative to the directory.
    entries: Vec<Entry>,
}

impl PlacedFiles {
    /// The files of an image for a form of its Dockerfile.
    pub(super) fn of(image: &ResolvedImage, form: &Form<'_>) -> Self {
        let suffix = form.suffix.to_owned();
        match form.files {
            ContextFiles::Later => Self {
                suffix,
                ..Self::default()
            },
            ContextFiles::OnBase(entries) => Self {
                archive: Some(entries.to_vec()),
                suffix,
                ..Self::default()
            },
            ContextFiles::AsWritten => Self::as_written(image, suffix),
        }
    }

    /// True if the Dockerfile unpacks an archive of files.
    pub(super) fn needs_archive(&self, image: &ResolvedImage) -> bool {
        match &self.archive {
            Some(entries) => !entries.is_empty(),
            None => image.files.iter().any(|file| file.path != "/"),
        }
    }

    /// Groups the files of an image as the spec lists them. If a path occurs twice, the later entry
    /// applies.
    fn as_written(image: &ResolvedImage, suffix: String) -> Self {
        let files = || image.files.iter().filter(|file| file.path != "/");
        let last: BTreeMap<&str, &FileEntry> =
            files().map(|file| (file.path.as_str(), file)).collect();
        let is_last = |file: &FileEntry| {
            last.get(file.path.as_str())
                .is_some_and(|it| std::ptr::eq(*it, file))
        };
        let mut placed = Self {
            suffix,
            ..Self::default()
        };
        let mut archive = Vec::new();
        for file in files().filter(|file| is_last(file)) {
            if let FileOwner::Numeric { uid, gid } = file.owner {
                let path = file.path.trim_start_matches('/').to_owned();
                archive.push(Entry {
                    path,
                    mode: file.mode,
                    uid,
                    gid,
                    kind: kind(file),
                });
            }
        }
        // In sorted order a directory comes before its content, which joins the directory's group.
        for file in last.into_values() {
            if let FileOwner::Named { user, group } = &file.owner {
                let owner = group
                    .as_ref()
                    .map_or_else(|| user.clone(), |group| format!("{user}:{group}"));
                placed.push_named(file, owner);
            }
        }
        archive.extend(placed.named.iter().flat_map(Group::placeholders));
        Self {
            archive: Some(archive),
            ..placed
        }
    }

    /// Adds a file to the group of its directory, or of a parent directory with the same owner.
    fn push_named(&mut self, file: &FileEntry, owner: String) {
        let (parent, _) = file.path.rsplit_once('/').unwrap_or_default();
        let can_hold = |group: &Group| {
            let inside = file.path.strip_prefix(&group.target);
            let directory = inside
                .and_then(|inside| inside.rsplit_once('/'))
                .map(|(directory, _)| directory);
            inside.is_some() && directory.is_none_or(|directory| group.has_directory(directory))
        };
        let group = self
            .named
            .iter_mut()
            .rev()
            .find(|group| group.owner == owner && can_hold(group));
        let group = if let Some(group) = group {
            group
        } else {
            let directory = format!("named{}/{:03}", self.suffix, self.named.len());
            self.named.push(Group {
                owner,
                directory,
                target: format!("{parent}/"),
                entries: Vec::new(),
            });
            let last = self.named.len() - 1;
            &mut self.named[last]
        };
        let path = file.path[group.target.len()..].to_owned();
        group.entries.push(Entry {
            path,
            mode: file.mode,
            uid: 0,
            gid: 0,
            kind: kind(file),
        });
    }

    /// The entries of the context, sorted by path.
    pub(super) fn context(self, image: &ResolvedImage) -> Vec<Entry> {
        let archive = |path: &str, entries: Vec<Entry>| {
            let kind = EntryKind::Archive(entries);
            (!matches!(&kind, EntryKind::Archive(entries) if entries.is_empty())).then(|| Entry {
                path: path.to_owned(),
                mode: 0o644,
                uid: 0,
                gid: 0,
                kind,
            })
        };
        let mut context: Vec<Entry> = Vec::new();
        context.extend(archive(
            &certificates_archive(&self.suffix),
            certificates(image),
        ));
        context.extend(archive(
            &files_archive(&self.suffix),
            self.archive.unwrap_or_default(),
        ));
        for group in self.named {
            let in_group = |entry: Entry| Entry {
                path: format!("{}/{}", group.directory, entry.path),
                ..entry
            };
            context.extend(group.entries.into_iter().map(in_group));
        }
        context.sort_by(|a, b| a.path.cmp(&b.path));
        context
    }
}

impl Group {
    /// Empty entries that the archive creates before `COPY --chown` runs. Without them, `COPY`
    /// would create missing parent directories with the group's owner instead of root, and BuildKit
    /// would not replace a directory by a file. Links need no placeholder.
    fn placeholders(&self) -> impl Iterator<Item = Entry> {
        let direct = self
            .entries
            .iter()
            .filter(|entry| !entry.path.contains('/'));
        direct.filter_map(|entry| {
            let kind = match entry.kind {
                EntryKind::Symlink(_) => return None,
                EntryKind::Directory => EntryKind::Directory,
                _ => EntryKind::File(Content::inline(Vec::new())),
            };
            let path = format!("{}{}", self.target.trim_start_matches('/'), entry.path);
            Some(Entry {
                path,
                mode: entry.mode,
                uid: 0,
                gid: 0,
                kind,
            })
        })
    }

    /// True if this directory is an entry of the group.
    fn has_directory(&self, path: &str) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.path == path && entry.kind == EntryKind::Directory)
    }
}

fn kind(file: &FileEntry) -> EntryKind {
    match &file.kind {
        FileKind::File(content) => EntryKind::File(content.clone()),
        FileKind::Directory => EntryKind::Directory,
        FileKind::Symlink(target) => EntryKind::Symlink(target.clone()),
    }
}

/// The absolute paths of the certificates of an image, in their order; empty if golden writes the
/// whole bundle or cannot place certificates.
pub(super) fn certificate_paths(image: &ResolvedImage) -> Vec<String> {
    let directory = match image.family {
        Family::Debian | Family::Alpine => "/usr/local/share/ca-certificates",
        Family::Rhel => "/etc/pki/ca-trust/source/anchors",
        Family::Static => return Vec::new(),
    };
    image
        .certificates
        .iter()
        .map(|certificate| format!("{directory}/{}", certificate.name))
        .collect()
}

/// The entries of the archive of certificates.
fn certificates(image: &ResolvedImage) -> Vec<Entry> {
    let file = |path: &str, content: &str| Entry {
        path: path.trim_start_matches('/').to_owned(),
        mode: 0o644,
        uid: 0,
        gid: 0,
        kind: EntryKind::File(Content::inline(content.as_bytes())),
    };
    match image.family {
        Family::Static if image.certificates.is_empty() || !matches!(image.base, Base::Scratch) => {
            Vec::new()
        }
        Family::Static => {
            let bundle: String = image
                .certificates
                .iter()
                .map(|certificate| certificate.pem.as_str())
                .collect();
            vec![file("/etc/ssl/certs/ca-certificates.crt", &bundle)]
        }
        _ => {
            let pems = image
                .certificates
                .iter()
                .map(|certificate| certificate.pem.as_str());
            let mut entries: Vec<Entry> = certificate_paths(image)
                .iter()
                .zip(pems)
                .map(|(path, pem)| file(path, pem))
                .collect();
            entries.sort_by(|a, b| a.path.cmp(&b.path));
            entries
        }
    }
}
