//! Files and certificates that specs name: found, checked to lie in the workspace, and hashed (7-rules 10).

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use walkdir::WalkDir;

use super::state::StateDirectory;
use super::{certificates, discover};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::oci::{Content, layout};
use crate::reference::Digest;
use crate::resolve::draft::{
    Draft, FileContent, FileRequest, LayoutRequest, SpecLocation, TrustRequest,
};
use crate::resolve::image::{Base, Certificate, FileEntry, FileKind, FileOwner, Layout};
use crate::resolve::{files, target};
use crate::spec::base::LayoutSpec;

/// The longest manifest or index of a layout, in bytes.
const MAX_MANIFEST: u64 = 8 << 20;

/// The longest file that certificates are read from, in bytes.
const MAX_CERTIFICATES: u64 = 8 << 20;

/// The program that runs steps.
const SHELL: &str = "/bin/sh";

/// What was found, once for all images that name it.
#[derive(Debug)]
pub struct Assets<'a> {
    root: &'a Path,
    hashed: BTreeMap<PathBuf, Hashed>,
    parsed: BTreeMap<PathBuf, Result<Vec<Certificate>, Diagnostic>>,
    /// Files of the image in hand whose extended attributes do not reach it, with the place that names them.
    lost: Vec<(SpecLocation, String, &'static str)>,
}

/// A file as it was read.
#[derive(Debug, Clone)]
struct Hashed {
    content: Content,
    executable: bool,
    /// An extended attribute that does not reach the image.
    lost: Option<&'static str>,
}

impl<'a> Assets<'a> {
    /// Assets of the workspace at `root`, which is canonical.
    #[must_use]
    pub const fn new(root: &'a Path) -> Self {
        Self {
            root,
            hashed: BTreeMap::new(),
            parsed: BTreeMap::new(),
            lost: Vec::new(),
        }
    }

    /// Gives an image its files and certificates.
    pub fn fill(&mut self, draft: &mut Draft, found: &mut Diagnostics) {
        let mut files = Vec::new();
        for (number, wish) in draft.files.iter().enumerate() {
            let placed = self.file(wish);
            let refused = |entries: &Vec<FileEntry>| entries.iter().find_map(target::refused);
            match placed.and_then(|entries| refused(&entries).map_or(Ok(entries), Err)) {
                Ok(entries) => files.extend(entries.into_iter().map(|entry| (number, entry))),
                Err(message) => {
                    found.push(at(Diagnostic::error("spec.file", message), &wish.place))
                }
            }
        }
        for (place, file, what) in std::mem::take(&mut self.lost) {
            let message = format!("`{file}` has {what}, which images made from it do not have");
            let help = "set them in a step: [[run]] with setcap or setfacl";
            found.push(at(Diagnostic::warning("spec.attributes", message), &place).help(help));
        }
        let merged = files::merge(files, |number| {
            draft.files[number].what == FileContent::Directory
        });
        for files::Conflict {
            first,
            second,
            message,
        } in merged.conflicts
        {
            let (first, second) = (&draft.files[first].place, &draft.files[second].place);
            let diagnostic = at(Diagnostic::error("spec.file", message), second);
            found.push(diagnostic.at(&first.file, first.span.clone(), "the other source"));
        }
        draft.image.files = merged.files;
        if let Some(wish) = &draft.layout {
            match self.layout(wish) {
                Ok(layout) => draft.image.base = Base::Layout(layout),
                Err(message) => found.push(at(
                    Diagnostic::error("spec.base", message),
                    &draft.base_place,
                )),
            }
        }
        if let (Some(place), Base::Scratch, false) =
            (draft.run_places.first(), &draft.image.base, draft.broken)
            && !draft.image.files.iter().any(|file| file.path == SHELL)
        {
            let message = format!("a step cannot run on `scratch`: it has no {SHELL}");
            let help = "build on an image that has a shell, or place one with [[files]]";
            found.push(at(Diagnostic::error("spec.run", message), place).help(help));
        }
        let mut certificates = Vec::new();
        for wish in &draft.trust {
            certificates.extend(self.trust(wish, found));
        }
        draft.image.certificates = certificates::collected(certificates);
    }

    fn file(&mut self, wish: &FileRequest) -> Result<Vec<FileEntry>, String> {
        let entry = |mode, kind, origin: &str| {
            let mode = wish.mode.unwrap_or(mode);
            vec![FileEntry::new(
                wish.target.clone(),
                mode,
                wish.owner.clone(),
                kind,
                origin,
            )]
        };
        match &wish.what {
            FileContent::Content(text) => Ok(entry(
                0o644,
                FileKind::File(Content::inline(text.as_bytes())),
                "content",
            )),
            FileContent::Directory => Ok(entry(0o755, FileKind::Directory, "an empty directory")),
            FileContent::Source { directory, pattern } => self.source(wish, directory, pattern),
        }
    }

    fn source(
        &mut self,
        wish: &FileRequest,
        folder: &Path,
        pattern: &str,
    ) -> Result<Vec<FileEntry>, String> {
        let mut entries = Vec::new();
        let literal = inside(self.root, folder, pattern)?;
        if discover::is_glob(pattern) && !literal.exists() {
            let hits = self.glob(folder, pattern)?;
            if hits.is_empty() {
                return Err(no_match(folder, pattern, &wish.place));
            }
            for hit in hits {
                let name = text(hit.file_name().unwrap_or_default().as_ref())?;
                self.place(wish, &hit, target::below(&wish.target, &name), &mut entries)?;
            }
            return Ok(entries);
        }
        let real = self.real(&literal, pattern)?;
        if real.is_dir() {
            self.folder(wish, &real, &wish.target, &mut entries)?;
        } else if wish.into {
            let name = text(literal.file_name().unwrap_or_default().as_ref())?;
            self.place(
                wish,
                &literal,
                target::below(&wish.target, &name),
                &mut entries,
            )?;
        } else {
            self.place(wish, &literal, wish.target.clone(), &mut entries)?;
            let name = text(literal.file_name().unwrap_or_default().as_ref())?;
            for entry in &mut entries {
                entry.name_inside = Some(name.clone());
            }
        }
        Ok(entries)
    }

    fn glob(&self, folder: &Path, pattern: &str) -> Result<Vec<PathBuf>, String> {
        let base = self.root.join(folder);
        let hits = discover::entries(&base, pattern.trim_start_matches("./"))
            .map_err(|error| format!("`{pattern}` is not a glob: {}", error.kind()))?;
        Ok(hits.into_iter().map(|hit| base.join(hit)).collect())
    }

    /// The path without symbolic links, which must exist and lie in the workspace.
    fn real(&self, path: &Path, shown: &str) -> Result<PathBuf, String> {
        let real = std::fs::canonicalize(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => format!("`{shown}` does not exist"),
            _ => format!("`{shown}` cannot be read: {error}"),
        })?;
        if real.starts_with(self.root) {
            Ok(real)
        } else {
            Err(format!(
                "`{shown}` leads out of the workspace by a symbolic link"
            ))
        }
    }

    /// One file or folder that was named itself: a symbolic link is followed.
    fn place(
        &mut self,
        wish: &FileRequest,
        path: &Path,
        target: String,
        entries: &mut Vec<FileEntry>,
    ) -> Result<(), String> {
        let real = self.real(path, &self.shown(path))?;
        if real.is_dir() {
            return self.folder(wish, &real, &target, entries);
        }
        let hashed = self.hashed(&real)?;
        self.lost.extend(
            hashed
                .lost
                .map(|what| (wish.place.clone(), self.shown(path), what)),
        );
        let mode = wish
            .mode
            .unwrap_or(if hashed.executable { 0o755 } else { 0o644 });
        let kind = FileKind::File(hashed.content);
        entries.push(FileEntry::new(
            target,
            mode,
            wish.owner.clone(),
            kind,
            self.shown(path),
        ));
        Ok(())
    }

    /// What is in a folder, and the folder itself. Symbolic links in it stay what they are.
    fn folder(
        &mut self,
        wish: &FileRequest,
        folder: &Path,
        target: &str,
        entries: &mut Vec<FileEntry>,
    ) -> Result<(), String> {
        let folder_mode = wish.mode.map_or(0o755, enterable);
        let mut push = |path: String, mode: u32, kind, origin: String| {
            entries.push(FileEntry::new(path, mode, wish.owner.clone(), kind, origin));
        };
        let mut lost = Vec::new();
        // What golden and git remember differs from machine to machine, and git's remotes may hold a token.
        let state = StateDirectory::of(self.root).path("");
        let remembered = |item: &walkdir::DirEntry| {
            item.depth() > 0 && (item.file_name() == ".git" || item.path() == state)
        };
        let items = WalkDir::new(folder)
            .min_depth(1)
            .sort_by_file_name()
            .into_iter();
        let items: Vec<_> = items
            .filter_entry(|item| !remembered(item))
            .collect::<Result<_, _>>()
            .map_err(|error| format!("`{}` cannot be read: {error}", self.shown(folder)))?;
        // A folder that is made for what lies in it, as every folder is that is missing, is not placed itself: the one
        // that the base has stays what it is, /tmp open to all and /bin a link to usr/bin.
        let is_placed =
            |empty: bool| empty || folder_mode != 0o755 || wish.owner != FileOwner::ROOT;
        if target != "/" && is_placed(items.is_empty()) {
            push(
                target.to_owned(),
                folder_mode,
                FileKind::Directory,
                self.shown(folder),
            );
        }
        for (number, item) in items.iter().enumerate() {
            let below = item.path().strip_prefix(folder).unwrap_or(item.path());
            let path = target::below(target, &text(below)?);
            let kind = item.file_type();
            if kind.is_dir() {
                let next = items.get(number + 1);
                if is_placed(next.is_none_or(|next| !next.path().starts_with(item.path()))) {
                    push(
                        path,
                        folder_mode,
                        FileKind::Directory,
                        self.shown(item.path()),
                    );
                }
            } else if kind.is_symlink() {
                let link = FileKind::Symlink(self.link(item.path())?);
                push(path, 0o777, link, self.shown(item.path()));
            } else {
                let hashed = self.hashed(item.path())?;
                lost.extend(
                    hashed
                        .lost
                        .map(|what| (wish.place.clone(), self.shown(item.path()), what)),
                );
                let mode = wish
                    .mode
                    .unwrap_or(if hashed.executable { 0o755 } else { 0o644 });
                push(
                    path,
                    mode,
                    FileKind::File(hashed.content),
                    self.shown(item.path()),
                );
            }
        }
        self.lost.append(&mut lost);
        Ok(())
    }

    /// The target of a symbolic link within a folder. An absolute one is a path of the image; a relative one must
    /// not climb out of the workspace.
    fn link(&self, path: &Path) -> Result<String, String> {
        let shown = self.shown(path);
        let target = std::fs::read_link(path)
            .map_err(|error| format!("`{shown}` cannot be read: {error}"))?;
        let folder = path
            .parent()
            .and_then(|folder| folder.strip_prefix(self.root).ok())
            .unwrap_or(Path::new(""));
        if target.is_relative() && !discover::stays_inside(&folder.join(&target)) {
            return Err(format!(
                "the symbolic link `{shown}` leads out of the workspace"
            ));
        }
        text(&target)
    }

    fn hashed(&mut self, path: &Path) -> Result<Hashed, String> {
        if let Some(hashed) = self.hashed.get(path) {
            return Ok(hashed.clone());
        }
        let hashed = hash(self.root, path)
            .map_err(|error| format!("`{}` cannot be read: {error}", self.shown(path)))?;
        self.hashed.insert(path.to_owned(), hashed.clone());
        Ok(hashed)
    }

    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(self.root)
            .unwrap_or(path)
            .display()
            .to_string()
    }

    /// The image of a layout that is a base, and that its manifest is there.
    fn layout(&self, wish: &LayoutRequest) -> Result<Layout, String> {
        let LayoutSpec {
            directory,
            name,
            digest,
        } = &wish.layout;
        let shown = directory.as_str();
        let folder = self.real(&inside(self.root, &wish.directory, directory)?, directory)?;
        let not_one = |what: String| format!("`{shown}` is not an OCI layout: {what}");
        if !folder.join("oci-layout").is_file() {
            return Err(not_one("it has no file oci-layout".to_owned()));
        }
        let read = |path: &Path| {
            let path = self.real(path, &self.shown(path))?;
            super::fs::read_in(self.root, &path, MAX_MANIFEST).map_err(|error| {
                format!("`{}` cannot be read: {}", self.shown(&path), error.source)
            })
        };
        let index = read(&folder.join("index.json"))?;
        let found =
            layout::find(&index, name.as_deref(), digest.as_ref()).map_err(
                |error| match error {
                    layout::Error::Json(_) => not_one(error.to_string()),
                    _ => format!("the layout `{shown}`: {error}"),
                },
            )?;
        let blob = folder
            .join("blobs")
            .join(found.digest.algorithm())
            .join(found.digest.hex());
        if !found.digest.is_of(&read(&blob)?) {
            return Err(format!("`{}` is not what its name says", self.shown(&blob)));
        }
        Ok(Layout {
            written: wish.layout.to_string(),
            name: name.clone(),
            directory: folder,
            media_type: found.media_type,
            digest: found.digest,
            pinned: digest.is_some(),
        })
    }

    fn trust(&mut self, wish: &TrustRequest, found: &mut Diagnostics) -> Vec<Certificate> {
        let paths = match self.trusted(wish) {
            Ok(paths) => paths,
            Err(message) => {
                found.push(at(Diagnostic::error("spec.file", message), &wish.place));
                return Vec::new();
            }
        };
        let mut all = Vec::new();
        for path in paths {
            match self.certificates(&path) {
                Ok(certificates) => all.extend(certificates),
                Err(diagnostic) => found.push(at(diagnostic, &wish.place)),
            }
        }
        all
    }

    fn trusted(&self, wish: &TrustRequest) -> Result<Vec<PathBuf>, String> {
        let literal = inside(self.root, &wish.directory, &wish.pattern)?;
        let paths = if discover::is_glob(&wish.pattern) && !literal.exists() {
            let mut hits = self.glob(&wish.directory, &wish.pattern)?;
            hits.retain(|hit| !hit.is_dir());
            if hits.is_empty() {
                return Err(no_match(&wish.directory, &wish.pattern, &wish.place));
            }
            hits
        } else {
            vec![literal]
        };
        for path in &paths {
            let real = self.real(path, &wish.pattern)?;
            if real.is_dir() {
                return Err(format!(
                    "`{}` is a folder; a PEM file is expected",
                    wish.pattern
                ));
            }
        }
        Ok(paths)
    }

    fn certificates(&mut self, path: &Path) -> Result<Vec<Certificate>, Diagnostic> {
        if let Some(parsed) = self.parsed.get(path) {
            return parsed.clone();
        }
        let parsed = self.read_certificates(path);
        self.parsed.insert(path.to_owned(), parsed.clone());
        parsed
    }

    fn read_certificates(&self, path: &Path) -> Result<Vec<Certificate>, Diagnostic> {
        let shown = self.shown(path);
        let unreadable = |why: String| {
            Diagnostic::error("spec.file", format!("`{shown}` cannot be read: {why}"))
        };
        let bytes = super::fs::read_in(self.root, path, MAX_CERTIFICATES)
            .map_err(|error| unreadable(error.source.to_string()))?;
        let relative = path.strip_prefix(self.root).unwrap_or(path);
        certificates::parse(relative, &bytes).map_err(|error| {
            Diagnostic::error(error.rule(), format!("`{shown}`: {error}"))
                .of_policy()
                .help(error.hint())
        })
    }
}

/// Why a glob has no files: the pattern from the workspace's root, and the file that it is relative to.
fn no_match(directory: &Path, pattern: &str, place: &SpecLocation) -> String {
    let file = place.file.file_name().unwrap_or_default().to_string_lossy();
    format!(
        "no file matches {} (paths are relative to {file})",
        directory.join(pattern).display()
    )
}

fn at(diagnostic: Diagnostic, place: &SpecLocation) -> Diagnostic {
    diagnostic.at(&place.file, place.span.clone(), "")
}

/// A path of a spec, which may not leave the workspace.
fn inside(root: &Path, folder: &Path, written: &str) -> Result<PathBuf, String> {
    if written.is_empty() {
        return Err("the path is empty".to_owned());
    }
    if Path::new(written).is_absolute() || !discover::stays_inside(&folder.join(written)) {
        return Err(format!("`{written}` leaves the workspace"));
    }
    Ok(root.join(folder).join(written))
}

fn text(path: &Path) -> Result<String, String> {
    let lossy = || format!("the name `{}` is not UTF-8", path.display());
    path.to_str().map(str::to_owned).ok_or_else(lossy)
}

/// A folder of the same readers can be entered by them: 0644 becomes 0755.
const fn enterable(mode: u32) -> u32 {
    mode | (mode & 0o444) >> 2
}

fn hash(root: &Path, path: &Path) -> std::io::Result<Hashed> {
    let mut file = super::fs::open_in(root, path)?;
    let metadata = file.metadata()?;
    let mut state = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    let mut len = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        state.update(&buffer[..read]);
        len += read as u64;
    }
    let digest = Digest::from_sha256(&state.finalize());
    Ok(Hashed {
        content: Content::File {
            path: path.to_owned(),
            len,
            digest,
        },
        executable: executable(&metadata),
        lost: lost_attribute(&file),
    })
}

/// Extended attributes that change what may be done with a file or by it. Archives of golden do not hold them.
#[cfg(target_os = "linux")]
const ATTRIBUTES: [(&str, &str); 2] = [
    ("security.capability", "file capabilities"),
    ("system.posix_acl_access", "an access control list"),
];

/// The first such attribute that a file has, for people.
#[cfg(target_os = "linux")]
fn lost_attribute(file: &std::fs::File) -> Option<&'static str> {
    let has =
        |name: &str| rustix::fs::fgetxattr(file, name, &mut [0_u8; 1024]).is_ok_and(|len| len > 0);
    ATTRIBUTES
        .into_iter()
        .find(|(name, _)| has(name))
        .map(|(_, shown)| shown)
}

#[cfg(not(target_os = "linux"))]
fn lost_attribute(_: &std::fs::File) -> Option<&'static str> {
    None
}

#[cfg(unix)]
fn executable(metadata: &std::fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o111 != 0
}

#[cfg(not(unix))]
fn executable(_: &std::fs::Metadata) -> bool {
    false
}
