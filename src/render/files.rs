//! How files reach the image: an archive in the context, which `ADD` unpacks with modes, set-id and sticky bits and
//! numeric owners on every builder. Where the base cannot be read, nobody knows the numbers of owners by name: then
//! `COPY --chown` places their files.

use std::collections::BTreeMap;

use super::form::{ContextFiles, Form};
use crate::oci::Content;
use crate::oci::tar::{Entry, EntryKind};
use crate::resolve::ResolvedImage;
use crate::resolve::image::{Base, Family, FileEntry, FileKind, FileOwner};

/// The archive with the files, in the context. `suffix` tells several images of one directory apart.
pub(super) fn files_archive(suffix: &str) -> String {
    format!("files{suffix}.tar")
}

/// The archive with the certificates, in the context.
pub(super) fn certificates_archive(suffix: &str) -> String {
    format!("certificates{suffix}.tar")
}

/// The files of an image, by the way they take.
#[derive(Debug, Default)]
pub(super) struct PlacedFiles {
    /// Entries of the archive, in the order of the spec; none while the base is not known.
    archive: Option<Vec<Entry>>,
    /// Groups of files that names own.
    pub(super) named: Vec<Group>,
    /// Tells several images of one directory apart.
    suffix: String,
}

/// Files of one owner below one folder of the image.
#[derive(Debug)]
pub(super) struct Group {
    /// `USER[:GROUP]`.
    pub(super) owner: String,
    /// The folder in the context.
    pub(super) folder: String,
    /// The folder in the image, with a `/` at its end.
    pub(super) target: String,
    /// What is in the folder.
    entries: Vec<Entry>,
}

impl PlacedFiles {
    /// The files of an image as this form of its Dockerfile needs them.
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

    /// Whether the Dockerfile unpacks an archive.
    pub(super) fn needs_archive(&self, image: &ResolvedImage) -> bool {
        match &self.archive {
            Some(entries) => !entries.is_empty(),
            None => image.files.iter().any(|file| file.path != "/"),
        }
    }

    /// Sorts the files of an image into their ways as the spec has them. Of two for one path the later one counts.
    fn as_written(image: &ResolvedImage, suffix: String) -> Self {
        let files = || image.files.iter().filter(|file| file.path != "/");
        let last: BTreeMap<&str, &FileEntry> =
            files().map(|file| (file.path.as_str(), file)).collect();
        let counts = |file: &FileEntry| {
            last.get(file.path.as_str())
                .is_some_and(|it| std::ptr::eq(*it, file))
        };
        let mut placed = Self {
            suffix,
            ..Self::default()
        };
        let mut archive = Vec::new();
        for file in files().filter(|file| counts(file)) {
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
        // Sorted, a folder comes before what lies in it and takes it into its group.
        for file in last.into_values() {
            if let FileOwner::Named { user, group } = &file.owner {
                let owner = group
                    .as_ref()
                    .map_or_else(|| user.clone(), |group| format!("{user}:{group}"));
                placed.push_named(file, owner);
            }
        }
        archive.extend(placed.named.iter().flat_map(Group::stand_ins));
        Self {
            archive: Some(archive),
            ..placed
        }
    }

    /// Adds a file to the group of its folder, or of a folder above it that the same owner is given.
    fn push_named(&mut self, file: &FileEntry, owner: String) {
        let (parent, _) = file.path.rsplit_once('/').unwrap_or_default();
        let below = |group: &Group| {
            let inside = file.path.strip_prefix(&group.target);
            let folder = inside
                .and_then(|inside| inside.rsplit_once('/'))
                .map(|(folder, _)| folder);
            inside.is_some() && folder.is_none_or(|folder| group.has_folder(folder))
        };
        let group = self
            .named
            .iter_mut()
            .rev()
            .find(|group| group.owner == owner && below(group));
        let group = if let Some(group) = group {
            group
        } else {
            let folder = format!("named{}/{:03}", self.suffix, self.named.len());
            self.named.push(Group {
                owner,
                folder,
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
            let below = |entry: Entry| Entry {
                path: format!("{}/{}", group.folder, entry.path),
                ..entry
            };
            context.extend(group.entries.into_iter().map(below));
        }
        context.sort_by(|a, b| a.path.cmp(&b.path));
        context
    }
}

impl Group {
    /// What makes room for the group: `COPY --chown` would give its owner the folders that are missing above it, which
    /// are root's, and BuildKit's does not put a file in the place of a folder. A link needs neither.
    fn stand_ins(&self) -> impl Iterator<Item = Entry> {
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

    /// Whether this folder is one of the group's own entries.
    fn has_folder(&self, path: &str) -> bool {
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

/// Where the certificates of an image go, absolute, in their order; empty where the whole bundle is placed, or
/// nothing can be.
pub(super) fn certificate_paths(image: &ResolvedImage) -> Vec<String> {
    let folder = match image.family {
        Family::Debian | Family::Alpine => "/usr/local/share/ca-certificates",
        Family::Rhel => "/etc/pki/ca-trust/source/anchors",
        Family::Static => return Vec::new(),
    };
    image
        .certificates
        .iter()
        .map(|certificate| format!("{folder}/{}", certificate.name))
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
