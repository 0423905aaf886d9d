//! The directories of `render --out`: writes their files, or compares them with the expected
//! content.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;

use super::error::Error;
use crate::oci::Content;
use crate::oci::tar::{self, Entry, EntryKind};
use crate::reference::{Digest, HashedWriter, Hasher};
use crate::render::MARK;
use crate::render::bake::{self, BAKE, RenderedTarget};
use crate::workspace::fs;

/// The state of a file below `--out`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RenderState {
    /// The file has the expected content.
    Current,
    /// The file was written.
    Written,
    /// The file has other content.
    Stale,
    /// The file does not exist.
    Missing,
}

/// The states of all files except the Dockerfiles; and the files that belong to no image.
type Finished = (Vec<(String, RenderState)>, Vec<String>);

/// The directories of all rendered images.
pub(super) struct Directories<'a> {
    out: &'a Path,
    /// True if files are compared instead of written.
    check: bool,
    /// True if all images of the workspace are rendered.
    all: bool,
    /// The files that belong to an image, relative to `out`.
    expected: BTreeSet<String>,
    files: Vec<(String, RenderState)>,
    targets: BTreeMap<String, Vec<RenderedTarget>>,
}

impl<'a> Directories<'a> {
    pub(super) const fn new(out: &'a Path, check: bool, all: bool) -> Self {
        Self {
            out,
            check,
            all,
            expected: BTreeSet::new(),
            files: Vec::new(),
            targets: BTreeMap::new(),
        }
    }

    /// Writes or compares the files of an image in the directory `name`. Returns the state of its
    /// Dockerfile, the file `dockerfile`.
    pub(super) fn settle(
        &mut self,
        name: &str,
        entries: &[Entry],
        created: i64,
        dockerfile: &str,
    ) -> Result<RenderState, Error> {
        let mut dockerfile_state = RenderState::Current;
        for entry in entries {
            let file = format!("{name}/{}", entry.path);
            if entry.kind == EntryKind::Directory {
                continue;
            }
            let state = self.settle_file(
                &self.out.join(&file),
                entry,
                u64::try_from(created).unwrap_or_default(),
            );
            let state = state.map_err(|source| failed(&self.out.join(&file), source))?;
            self.expected.insert(file.clone());
            if file == dockerfile {
                dockerfile_state = state;
            } else {
                self.files.push((file, state));
            }
        }
        Ok(dockerfile_state)
    }

    /// Adds an image to the bake file of the directory `name`.
    pub(super) fn add_target(&mut self, name: &str, target: RenderedTarget) {
        self.targets
            .entry(name.to_owned())
            .or_default()
            .push(target);
    }

    /// Writes or compares the bake files. Returns the states of all files except the Dockerfiles,
    /// and the files that belong to no image.
    pub(super) fn finish(mut self) -> Result<Finished, Error> {
        for (name, targets) in std::mem::take(&mut self.targets) {
            let file = format!("{name}/{BAKE}");
            let path = self.out.join(&file);
            let before = fs::read_if_exists(&path)?;
            // If only some images are selected, the targets of the others are kept.
            let other = |dockerfile: &str| {
                !self.all && targets.iter().all(|target| target.dockerfile != dockerfile)
            };
            let kept = bake::targets_of(before.as_deref().unwrap_or_default(), other);
            let text = bake::bake(&targets, kept);
            let state = match before {
                Some(before) if before == text.as_bytes() => RenderState::Current,
                Some(before) if self.check => {
                    let same = bake::comparable(&before) == bake::comparable(text.as_bytes());
                    if same {
                        RenderState::Current
                    } else {
                        RenderState::Stale
                    }
                }
                None if self.check => RenderState::Missing,
                _ => {
                    fs::write_atomic(&path, text.as_bytes())?;
                    RenderState::Written
                }
            };
            self.expected.insert(file.clone());
            self.files.push((file, state));
        }
        let left = if self.all {
            self.left_over()
        } else {
            Vec::new()
        };
        Ok((self.files, left))
    }

    /// Writes a file, or compares it with the expected content.
    fn settle_file(&self, path: &Path, entry: &Entry, created: u64) -> io::Result<RenderState> {
        let found = match std::fs::symlink_metadata(path) {
            Ok(found) => Some(found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if let EntryKind::Symlink(target) = &entry.kind {
            return self.link(path, target, found.is_some());
        }
        let is_file = found.as_ref().is_some_and(std::fs::Metadata::is_file);
        if is_file {
            // An archive contains the time of the spec's commit. A file of the same commit cannot
            // contain that time, so the time of the existing archive is used.
            let time = match &entry.kind {
                EntryKind::Archive(_) if self.check => time_of_archive(path)?.unwrap_or(created),
                _ => created,
            };
            if digest_of(path)? == digest(entry, time)? {
                return Ok(RenderState::Current);
            }
        }
        if self.check {
            return Ok(if found.is_some() {
                RenderState::Stale
            } else {
                RenderState::Missing
            });
        }
        let directory = path.parent().unwrap_or(self.out);
        std::fs::create_dir_all(directory)?;
        let mut file = tempfile::Builder::new()
            .prefix(fs::UNFINISHED)
            .tempfile_in(directory)?;
        write(entry, created, &mut io::BufWriter::new(&mut file))?;
        set_mode(file.as_file(), entry.mode)?;
        // COPY keeps the time of a file, so the image has the time of the commit.
        file.as_file()
            .set_modified(UNIX_EPOCH + Duration::from_secs(created))?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(RenderState::Written)
    }

    /// Writes or compares a symbolic link.
    fn link(&self, path: &Path, target: &str, found: bool) -> io::Result<RenderState> {
        match std::fs::read_link(path) {
            Ok(existing) if existing == Path::new(target) => return Ok(RenderState::Current),
            _ if self.check => {
                return Ok(if found {
                    RenderState::Stale
                } else {
                    RenderState::Missing
                });
            }
            _ => {}
        }
        std::fs::create_dir_all(path.parent().unwrap_or(self.out))?;
        if found {
            std::fs::remove_file(path)?;
        }
        symlink(target, path)?;
        Ok(RenderState::Written)
    }

    /// The files that golden rendered and that belong to no image: Dockerfiles with golden's mark,
    /// and the other files of the context in a directory with such a Dockerfile. Files of the user
    /// are not listed.
    fn left_over(&self) -> Vec<String> {
        let entries = walkdir::WalkDir::new(self.out)
            .sort_by_file_name()
            .into_iter()
            .flatten();
        let mut found: Vec<(String, String)> = Vec::new();
        let mut rendered: BTreeSet<String> = self
            .expected
            .iter()
            .filter(|file| file.ends_with(BAKE))
            .map(|file| directory_of(file))
            .collect();
        for entry in entries.filter(|entry| entry.file_type().is_file()) {
            let name = entry.file_name().to_str();
            let path = entry
                .path()
                .strip_prefix(self.out)
                .ok()
                .and_then(Path::to_str);
            let (Some(name), Some(path)) = (name, path.map(|path| path.replace('\\', "/"))) else {
                continue;
            };
            if self.expected.contains(&path) {
                continue;
            }
            if name == "Dockerfile" || name.starts_with("Dockerfile.") {
                if has_mark(entry.path()) {
                    let root = directory_of(&path);
                    rendered.insert(root.clone());
                    found.push((path, root));
                }
            } else {
                found.extend(contexts_of(&path).map(|root| (path.clone(), root.to_owned())));
            }
        }
        found.retain(|(_, root)| rendered.contains(root));
        let mut left: Vec<String> = found.into_iter().map(|(path, _)| path).collect();
        left.dedup();
        left
    }
}

/// The directories whose build context the file at `path` can belong to: those with a bake file, an
/// archive or a directory of files on the way to it.
fn contexts_of(path: &str) -> impl Iterator<Item = &str> {
    let starts = std::iter::once(0).chain(path.match_indices('/').map(|(at, _)| at + 1));
    starts.filter_map(|start| {
        let (first, below) = match path[start..].split_once('/') {
            Some((first, _)) => (first, true),
            None => (&path[start..], false),
        };
        let is_context = if below {
            ["files", "certs", "named"]
                .iter()
                .any(|kind| is_kind(first, kind))
        } else {
            let archive = first.strip_suffix(".tar");
            let is_archive = |kind| archive.is_some_and(|name| is_kind(name, kind));
            first == BAKE || is_archive("files") || is_archive("certificates")
        };
        is_context.then(|| path[..start].trim_end_matches('/'))
    })
}

/// True if `name` is `kind`, or `kind` with the suffix of an image, such as `.slim`.
fn is_kind(name: &str, kind: &str) -> bool {
    name.strip_prefix(kind)
        .is_some_and(|suffix| suffix.is_empty() || suffix.starts_with('.'))
}

fn directory_of(file: &str) -> String {
    file.rsplit_once('/')
        .map_or("", |(directory, _)| directory)
        .to_owned()
}

/// True if the first line of a Dockerfile has golden's mark.
fn has_mark(path: &Path) -> bool {
    let text = fs::read(path).unwrap_or_default();
    text.split(|byte| *byte == b'\n')
        .next()
        .is_some_and(|first| String::from_utf8_lossy(first).to_lowercase().contains(MARK))
}

fn failed(path: &Path, source: io::Error) -> Error {
    let error = crate::workspace::state::Error {
        action: "write",
        path: path.to_owned(),
        source,
    };
    Error::File(error)
}

/// Writes the content of an entry.
fn write(entry: &Entry, created: u64, out: &mut impl Write) -> io::Result<()> {
    match &entry.kind {
        EntryKind::File(Content::Inline(bytes)) => out.write_all(bytes),
        EntryKind::File(Content::File { path, len, digest }) => {
            tar::copy_exactly(path, fs::open_real(path)?, out, *len, digest)
        }
        EntryKind::Archive(entries) => tar::write(entries, created, out, fs::open_real).map(drop),
        EntryKind::Directory | EntryKind::Symlink(_) => Ok(()),
    }
}

/// The digest of the expected content of a file.
fn digest(entry: &Entry, created: u64) -> io::Result<Digest> {
    if let EntryKind::File(content) = &entry.kind {
        return Ok(content.digest());
    }
    let mut hashed = HashedWriter::new(io::sink());
    write(entry, created, &mut hashed)?;
    Ok(hashed.finish().0)
}

/// The digest of the existing file.
fn digest_of(path: &Path) -> io::Result<Digest> {
    let mut hasher = Hasher::sha256();
    hasher.copy(File::open(path)?, &mut io::sink())?;
    Ok(hasher.finish())
}

/// The time of the first entry of a tar archive; `None` if the file is not an archive.
fn time_of_archive(path: &Path) -> io::Result<Option<u64>> {
    let mut header = Vec::new();
    File::open(path)?.take(512).read_to_end(&mut header)?;
    let text = header.get(136..147).map(String::from_utf8_lossy);
    Ok(text.and_then(|text| u64::from_str_radix(text.trim_matches(['\0', ' ']), 8).ok()))
}

#[cfg(unix)]
fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))
}

#[cfg(not(unix))]
fn set_mode(_: &File, _: u32) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn symlink(target: &str, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(not(unix))]
fn symlink(_: &str, path: &Path) -> io::Result<()> {
    Err(io::Error::other(format!(
        "{}: this system does not support symbolic links",
        path.display()
    )))
}
