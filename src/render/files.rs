//! Puts the files and certificates of an image into the build context.
//!
//! `COPY --chown --chmod` places what it can express exactly; an archive, which `ADD` unpacks with
//! modes, set-id and sticky bits and numeric owners, places the rest. For a builder with the older
//! syntax, the archive has all files. If the base cannot be read, the numbers of owner names are
//! unknown, and `COPY --chown` places the files of named owners.

use std::collections::BTreeMap;

use super::copies::{
    self, BaseDirectories, CopyGroup, CopyItem, DirectoryCreation, FileInstructions,
};
use super::form::{ContextFiles, DockerfileForm};
use super::instruction::{RenderedInstruction, ScriptForm};
use crate::oci::Content;
use crate::oci::tar::{Entry, EntryKind};
use crate::resolve::image::{Base, Family, FileEntry, FileKind, FileOwner};
use crate::resolve::{ResolvedImage, package_sources};

/// The maximum number of entries that a comment lists.
const LISTED: usize = 20;

/// The name of the archive with the files. `suffix` distinguishes several images of one directory.
pub(super) fn files_archive(suffix: &str) -> String {
    format!("{}.tar", files_directory(suffix))
}

/// The directory in the context with the files.
pub(super) fn files_directory(suffix: &str) -> String {
    format!("files{suffix}")
}

/// The name of the archive with the certificates, for builders with the older syntax.
pub(super) fn certificates_archive(suffix: &str) -> String {
    format!("certificates{suffix}.tar")
}

/// The directory in the context with the certificates.
pub(super) fn certificates_directory(suffix: &str) -> String {
    format!("certs{suffix}")
}

/// The name of the archive with the repositories of packages, for builders with the older syntax.
fn repositories_archive(suffix: &str) -> String {
    format!("repositories{suffix}.tar")
}

/// The files of an image, grouped by the instruction that places them.
#[derive(Debug, Default)]
pub(super) struct PlacedFiles {
    files: FileInstructions,
    /// Groups of files whose owners are names that only the base resolves.
    named: Vec<Group>,
    certificates: FileInstructions,
    /// The keys and the sources of the repositories of packages.
    repositories: FileInstructions,
    /// True if the context has the files.
    has_content: bool,
    /// True if a comment lists the content of the archive.
    is_listed: bool,
    /// Distinguishes several images of one directory.
    suffix: String,
}

/// Files with one owner in one directory of the image.
#[derive(Debug)]
struct Group {
    /// `USER[:GROUP]`.
    owner: String,
    /// The directory in the context.
    directory: String,
    /// The directory in the image, with a `/` at its end.
    target: String,
    /// The entries, with paths relative to the directory.
    entries: Vec<Entry>,
}

impl PlacedFiles {
    /// The files and certificates of an image for a form of its Dockerfile.
    pub(super) fn of(image: &ResolvedImage, form: &DockerfileForm<'_>) -> Self {
        let mut placed = Self {
            has_content: form.files != ContextFiles::Later,
            is_listed: form.syntax.has_copy_modes(),
            suffix: form.suffix.to_owned(),
            ..Self::default()
        };
        let items = match form.files {
            ContextFiles::Later => last_of_each_path(image).into_iter().map(item).collect(),
            ContextFiles::OnBase(files) => {
                files.entries.iter().cloned().map(CopyItem::from).collect()
            }
            ContextFiles::AsWritten => placed.as_written(image),
        };
        placed.files = if form.syntax.has_copy_modes() {
            let (known, creation) = knowledge(image, form);
            copies::arrange(
                items,
                &files_directory(form.suffix),
                known,
                creation,
                form.copy_names(),
            )
        } else {
            FileInstructions {
                archive: items,
                ..FileInstructions::default()
            }
        };
        let certs = certificates_directory(form.suffix);
        placed.certificates = arranged(certificate_items(image), &certs, image, form);
        let repositories = format!("repositories{}", form.suffix);
        placed.repositories = arranged(repository_items(image), &repositories, image, form);
        placed
    }

    /// Groups the files of an image as the spec lists them, and returns those with numeric owners.
    fn as_written(&mut self, image: &ResolvedImage) -> Vec<CopyItem> {
        let (numeric, mut named): (Vec<&FileEntry>, Vec<&FileEntry>) = last_of_each_path(image)
            .into_iter()
            .partition(|file| matches!(file.owner, FileOwner::Numeric { .. }));
        // In sorted order a directory comes before its content, which joins the directory's group.
        named.sort_by(|a, b| a.path.cmp(&b.path));
        for file in named {
            self.push_named(file, copies::chown(&file.owner));
        }
        numeric.into_iter().map(item).collect()
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

    /// The instructions that place the files.
    pub(super) fn instructions(&self, scripts: ScriptForm) -> Vec<RenderedInstruction> {
        let archive = files_archive(&self.suffix);
        let mut out = Vec::new();
        if self.is_listed {
            out.extend(listing(&self.files, &archive));
        }
        if !self.archive().is_empty() {
            out.push(RenderedInstruction::Add {
                source: archive,
                target: "/".to_owned(),
            });
        }
        out.extend(copy_instructions(&self.files, scripts));
        out.extend(self.named.iter().map(|group| RenderedInstruction::Copy {
            owner: group.owner.clone(),
            mode: None,
            sources: vec![format!("{}/", group.directory)],
            target: group.target.clone(),
        }));
        out
    }

    /// The instructions that place the certificates.
    pub(super) fn certificate_instructions(&self, scripts: ScriptForm) -> Vec<RenderedInstruction> {
        let add = (!self.certificates.archive.is_empty()).then(|| RenderedInstruction::Add {
            source: certificates_archive(&self.suffix),
            target: "/".to_owned(),
        });
        add.into_iter()
            .chain(copy_instructions(&self.certificates, scripts))
            .collect()
    }

    /// The instructions that place the keys and the sources of the repositories of packages.
    pub(super) fn repository_instructions(&self, scripts: ScriptForm) -> Vec<RenderedInstruction> {
        let add = (!self.repositories.archive.is_empty()).then(|| RenderedInstruction::Add {
            source: repositories_archive(&self.suffix),
            target: "/".to_owned(),
        });
        add.into_iter()
            .chain(copy_instructions(&self.repositories, scripts))
            .collect()
    }

    /// The entries of the archive of files. The numbers of named owners are not known.
    fn archive(&self) -> Vec<Entry> {
        let placeholders = self.named.iter().flat_map(Group::placeholders);
        let entries = self.files.archive.iter().map(CopyItem::entry);
        entries.chain(placeholders).collect()
    }

    /// The entries of the context, sorted by path.
    pub(super) fn context(self) -> Vec<Entry> {
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
        for (name, placed) in [
            (certificates_archive(&self.suffix), &self.certificates),
            (repositories_archive(&self.suffix), &self.repositories),
        ] {
            let entries = placed.archive.iter().map(CopyItem::entry).collect();
            context.extend(archive(&name, entries));
            context.extend(placed.copies.iter().flat_map(sources));
        }
        if self.has_content {
            context.extend(archive(&files_archive(&self.suffix), self.archive()));
            context.extend(self.files.copies.iter().flat_map(sources));
        }
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

/// The instructions for files that a package manager or a tool reads. `directory` is the directory
/// in the context.
fn arranged(
    items: Vec<CopyItem>,
    directory: &str,
    image: &ResolvedImage,
    form: &DockerfileForm<'_>,
) -> FileInstructions {
    if !form.syntax.has_copy_modes() {
        return FileInstructions {
            archive: items,
            ..FileInstructions::default()
        };
    }
    // The layers of a base are not read only to find the directories of these files.
    let (known, creation) = match image.family {
        Family::Static => (BaseDirectories::None, DirectoryCreation::Archive),
        _ => (BaseDirectories::Usual, DirectoryCreation::Step),
    };
    let mut arranged = copies::arrange(items, "", known, creation, form.copy_names());
    for (source, _) in arranged
        .copies
        .iter_mut()
        .flat_map(|copy| &mut copy.sources)
    {
        let name = source.rsplit('/').next().unwrap_or_default();
        *source = format!("{directory}/{name}");
    }
    arranged
}

fn certificate_items(image: &ResolvedImage) -> Vec<CopyItem> {
    let file = |path: &str, content: &str| CopyItem {
        path: path.trim_start_matches('/').to_owned(),
        mode: 0o644,
        owner: FileOwner::ROOT,
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
            let mut items: Vec<CopyItem> = certificate_paths(image)
                .iter()
                .zip(pems)
                .map(|(path, pem)| file(path, pem))
                .collect();
            items.sort_by(|a, b| a.path.cmp(&b.path));
            items
        }
    }
}

fn repository_items(image: &ResolvedImage) -> Vec<CopyItem> {
    let item = |path: &str, content: Content| CopyItem {
        path: path.trim_start_matches('/').to_owned(),
        mode: 0o644,
        owner: FileOwner::ROOT,
        kind: EntryKind::File(content),
    };
    let mut items = BTreeMap::new();
    for repository in &image.packages.repositories {
        let Some(source) = package_sources::of(repository, image.family) else {
            continue;
        };
        let key = item(&source.key, repository.key.content.clone());
        items.insert(key.path.clone(), key);
        if let Some(file) = source.file {
            let file = item(&file.path, Content::inline(file.text.as_bytes()));
            items.insert(file.path.clone(), file);
        }
    }
    items.into_values().collect()
}

/// The files of an image in the order of the spec. If a path occurs twice, the later entry applies.
fn last_of_each_path(image: &ResolvedImage) -> Vec<&FileEntry> {
    let files = || image.files.iter().filter(|file| file.path != "/");
    let last: BTreeMap<&str, &FileEntry> = files().map(|file| (file.path.as_str(), file)).collect();
    let is_last = |file: &&FileEntry| {
        last.get(file.path.as_str())
            .is_some_and(|it| std::ptr::eq(*it, *file))
    };
    files().filter(is_last).collect()
}

/// The directories that the base has for certain, and the way to create others.
fn knowledge<'a>(
    image: &ResolvedImage,
    form: &DockerfileForm<'a>,
) -> (BaseDirectories<'a>, DirectoryCreation) {
    let known = match form.files {
        _ if matches!(image.base, Base::Scratch) => BaseDirectories::None,
        // A package that is removed may take its directories with it.
        ContextFiles::OnBase(files) if image.packages.remove.is_empty() => {
            BaseDirectories::AllExcept(&files.missing)
        }
        _ => BaseDirectories::Usual,
    };
    let creation = match form.files {
        _ if executes_before_files(image) => DirectoryCreation::Step,
        ContextFiles::AsWritten if !matches!(image.base, Base::Scratch) => {
            DirectoryCreation::Impossible
        }
        _ => DirectoryCreation::Archive,
    };
    (known, creation)
}

/// True if a program runs before the files are placed, so that one more may run.
fn executes_before_files(image: &ResolvedImage) -> bool {
    let has_tool = image.family != Family::Static && !image.certificates.is_empty();
    image.has_packages() || has_tool
}

fn item(file: &FileEntry) -> CopyItem {
    CopyItem {
        path: file.path.trim_start_matches('/').to_owned(),
        mode: file.mode,
        owner: file.owner.clone(),
        kind: kind(file),
    }
}

impl From<Entry> for CopyItem {
    fn from(entry: Entry) -> Self {
        let Entry {
            path,
            mode,
            uid,
            gid,
            kind,
        } = entry;
        Self {
            path,
            mode,
            owner: FileOwner::Numeric { uid, gid },
            kind,
        }
    }
}

impl CopyItem {
    /// The entry of an archive. An owner name, whose number is not known, becomes root.
    fn entry(&self) -> Entry {
        let (uid, gid) = match self.owner {
            FileOwner::Numeric { uid, gid } => (uid, gid),
            FileOwner::Named { .. } => (0, 0),
        };
        Entry {
            path: self.path.clone(),
            mode: self.mode,
            uid,
            gid,
            kind: self.kind.clone(),
        }
    }

    /// The item in a comment: `/tmp/ 1777 0:0`, `/bin/ash -> busybox`.
    fn listed(&self) -> String {
        let Self { path, mode, .. } = self;
        let owner = match copies::chown(&self.owner) {
            owner if owner.is_empty() => "0:0".to_owned(),
            owner => owner,
        };
        match &self.kind {
            EntryKind::Symlink(target) => format!("  /{path} -> {target}"),
            EntryKind::Directory => format!("  /{path}/ {mode:04o} {owner}"),
            EntryKind::File(_) | EntryKind::Archive(_) => format!("  /{path} {mode:04o} {owner}"),
        }
    }
}

/// The comment that lists the content of the archive.
fn listing(files: &FileInstructions, archive: &str) -> Vec<RenderedInstruction> {
    let items = &files.archive;
    if items.is_empty() {
        return Vec::new();
    }
    let is_directory = |item: &CopyItem| item.kind == EntryKind::Directory;
    let heading = if files.is_large {
        format!("{archive} has all files, because each COPY is a layer:")
    } else if items.iter().all(is_directory) {
        format!("{archive} has directories, because COPY would give them the mode of their files:")
    } else {
        format!("{archive} has what COPY cannot express:")
    };
    let more = items.len().saturating_sub(LISTED);
    let more = (more > 0).then(|| format!("  and {more} more"));
    std::iter::once(heading)
        .chain(items.iter().take(LISTED).map(CopyItem::listed))
        .chain(more)
        .map(RenderedInstruction::Comment)
        .collect()
}

/// `RUN mkdir -p` for missing directories, and the `COPY` instructions.
fn copy_instructions(arranged: &FileInstructions, scripts: ScriptForm) -> Vec<RenderedInstruction> {
    let directories = &arranged.directories;
    let create = (!directories.is_empty()).then(|| RenderedInstruction::MakeDirectories {
        paths: directories.iter().map(|path| format!("/{path}")).collect(),
        form: scripts,
    });
    let copy = |group: &CopyGroup| RenderedInstruction::Copy {
        owner: group.owner.clone(),
        mode: Some(group.mode),
        sources: group.sources.iter().map(|(name, _)| name.clone()).collect(),
        target: group.target.clone(),
    };
    create
        .into_iter()
        .chain(arranged.copies.iter().map(copy))
        .collect()
}

/// The entries of the context for a `COPY` instruction.
fn sources(group: &CopyGroup) -> impl Iterator<Item = Entry> {
    group.sources.iter().map(|(path, kind)| Entry {
        path: path.clone(),
        mode: group.mode,
        uid: 0,
        gid: 0,
        kind: kind.clone(),
    })
}
