//! Reads the files and certificates that specs name, checks that they are in the workspace, and
//! hashes the files.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::state::StateDirectory;
use super::{certificates, discover};
use crate::config_files::base::LayoutSpec;
use crate::config_files::structure;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::oci::{Content, layout};
use crate::reference::Hasher;
use crate::resolve::image::{
    Base, Certificate, FileEntry, FileKind, FileOwner, Layout, PackageKey, ResolvedTest,
    SpecLocation,
};
use crate::resolve::image_test::{ImageTest, StructureTest, TestSubject};
use crate::resolve::parsed::{
    FileContent, FileRequest, ImageAssets, IncompleteImage, KeyRequest, LayoutRequest, ParsedBase,
    ParsedImage, ParsedTest, TrustRequest, WrittenVariant,
};
use crate::resolve::{files, target};

/// The longest manifest or index of a layout that is read, in bytes.
const MAX_MANIFEST: u64 = 8 << 20;

/// The longest certificate file that is read, in bytes.
const MAX_CERTIFICATES: u64 = 8 << 20;

/// The longest file of container-structure-test, in bytes.
const MAX_STRUCTURE: u64 = 1 << 20;

/// The longest key of a repository of packages, in bytes.
const MAX_KEY: u64 = 1 << 20;

/// The shell that runs steps.
const SHELL: &str = "/bin/sh";

/// Files and certificates of the workspace. Each is read once, for all images that use it.
#[derive(Debug)]
pub struct Assets<'a> {
    root: &'a Path,
    hashed: BTreeMap<PathBuf, Hashed>,
    parsed: BTreeMap<PathBuf, Result<Vec<Certificate>, Diagnostic>>,
    /// Files of the current image whose extended attributes are lost, with the location of the
    /// entry.
    lost: Vec<(SpecLocation, String, &'static str)>,
    /// The texts of the files of container-structure-test, by their paths in the workspace.
    texts: BTreeMap<PathBuf, String>,
}

/// The hash and the attributes of a file.
#[derive(Debug, Clone)]
struct Hashed {
    content: Content,
    executable: bool,
    /// An extended attribute that golden does not copy into the image.
    lost: Option<&'static str>,
}

impl<'a> Assets<'a> {
    /// Creates an empty cache for the workspace at `root`, which must be canonical.
    #[must_use]
    pub const fn new(root: &'a Path) -> Self {
        Self {
            root,
            hashed: BTreeMap::new(),
            parsed: BTreeMap::new(),
            lost: Vec::new(),
            texts: BTreeMap::new(),
        }
    }

    /// Reads the files, the layout and the certificates of an image. Errors are added to `found`;
    /// `None` if the layout has one.
    pub fn read(&mut self, image: &ParsedImage, found: &mut Diagnostics) -> Option<ImageAssets> {
        let files = self.files(&image.requests.files, found);
        let first = image.run.first().and_then(|step| step.location.as_ref());
        if let (Some(location), Base::Scratch) = (first, &image.base)
            && !files.iter().any(|file| file.path == SHELL)
        {
            let message = "`scratch` has no shell; [[run]] and [packages] need a base with one";
            let help = "build on an image that has a shell, or place one with [[files]]";
            found.push(at(Diagnostic::error("spec.run", message), location).help(help));
        }
        let certificates = self.trust(&image.requests.trust, found);
        let packages = image.packages.clone().with_keys(|request| {
            self.key(&request).map_err(|message| {
                found.push(at(
                    Diagnostic::error("spec.file", message),
                    &request.location,
                ));
            })
        });
        let base = self.base(&image.base, &image.requests.base_location, found);
        let mut tests = Vec::new();
        for test in image.tests.iter().cloned() {
            match test {
                ParsedTest::One(test) => {
                    let read = |request| self.trust(&[request], found);
                    tests.push(test.with_certificates(read));
                }
                ParsedTest::Structure { name, file } => {
                    match self.structure(name.as_deref(), &file) {
                        Ok(read) => tests.extend(read),
                        Err(diagnostic) => found.push(*diagnostic),
                    }
                }
            }
        }
        Some(ImageAssets {
            base: base?,
            files,
            certificates,
            packages: packages.ok()?,
            tests,
        })
    }

    /// The texts of the files that were read, by their paths in the workspace, for the positions of
    /// messages.
    #[must_use]
    pub fn into_texts(self) -> BTreeMap<PathBuf, String> {
        self.texts
    }

    /// Reads a file of container-structure-test. Each of its tests becomes a test of the image.
    fn structure(
        &mut self,
        name: Option<&str>,
        request: &TrustRequest,
    ) -> Result<Vec<ResolvedTest>, Box<Diagnostic>> {
        let written = &request.pattern;
        let refused = |message: String| {
            let diagnostic = Diagnostic::error("spec.file", message);
            Box::new(at(diagnostic, &request.location))
        };
        let is_yaml = Path::new(written)
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml");
        if !is_yaml {
            let message = format!("`{written}` is not a .yaml or .yml file");
            return Err(refused(message));
        }
        let path = inside(self.root, &request.directory, written).map_err(refused)?;
        let real = self.real(&path, written).map_err(refused)?;
        let shown = PathBuf::from(self.shown(&real));
        let unreadable = |why| refused(format!("`{written}` cannot be read: {why}"));
        let text = self.structure_text(&real, &shown).map_err(unreadable)?;
        let parsed = structure::parse(text);
        let location = |span| SpecLocation {
            file: shown.clone(),
            span,
        };
        match parsed {
            Ok(file) => {
                let case = |case: structure::StructureCase| ImageTest {
                    name: Some(match name {
                        Some(name) => format!("{name}: {}", case.name),
                        None => case.name,
                    }),
                    subject: TestSubject::Structure(Box::new(StructureTest {
                        file: written.clone(),
                        env: file.env.clone(),
                        check: case.check,
                    })),
                    location: location(case.span),
                };
                Ok(file.cases.into_iter().map(case).collect())
            }
            Err(mistake) => {
                let diagnostic = Diagnostic::error("spec.file", mistake.message.clone());
                let diagnostic = at(diagnostic, &location(mistake.span(text)));
                Err(Box::new(match mistake.help {
                    Some(help) => diagnostic.help(help),
                    None => diagnostic,
                }))
            }
        }
    }

    /// The text of a file of container-structure-test. It is read only once, so that the spans of
    /// all tests are those of one text.
    fn structure_text(&mut self, real: &Path, shown: &Path) -> Result<&str, String> {
        match self.texts.entry(shown.to_owned()) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(new) => {
                let bytes = super::fs::read_in(self.root, real, MAX_STRUCTURE)
                    .map_err(|error| error.source.to_string())?;
                let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
                Ok(new.insert(text))
            }
        }
    }

    /// Checks the files, the layout and the certificates that an incomplete spec names.
    pub fn check(&mut self, image: &IncompleteImage, found: &mut Diagnostics) {
        self.files(&image.requests.files, found);
        self.trust(&image.requests.trust, found);
        if let Some(base) = &image.base {
            self.base(base, &image.requests.base_location, found);
        }
    }

    fn files(&mut self, requests: &[FileRequest], found: &mut Diagnostics) -> Vec<FileEntry> {
        let mut files = Vec::new();
        for (number, request) in requests.iter().enumerate() {
            let placed = self.file(request);
            let refused = |entries: &Vec<FileEntry>| entries.iter().find_map(target::refused);
            match placed.and_then(|entries| refused(&entries).map_or(Ok(entries), Err)) {
                Ok(entries) => files.extend(entries.into_iter().map(|entry| (number, entry))),
                Err(message) => found.push(at(
                    Diagnostic::error("spec.file", message),
                    &request.location,
                )),
            }
        }
        for (location, file, what) in std::mem::take(&mut self.lost) {
            let message = format!("`{file}` has {what}, which golden does not copy into images");
            let help = "set them in a step: [[run]] with setcap or setfacl";
            found.push(at(Diagnostic::warning("spec.attributes", message), &location).help(help));
        }
        let is_directory = |number: usize| requests[number].content == FileContent::Directory;
        let merged = files::merge(files, is_directory);
        for files::Conflict {
            first,
            second,
            message,
        } in merged.conflicts
        {
            let (first, second) = (&requests[first].location, &requests[second].location);
            let diagnostic = at(Diagnostic::error("spec.file", message), second);
            found.push(diagnostic.at(&first.file, first.span.clone(), "the other source"));
        }
        merged.files
    }

    fn base(
        &self,
        base: &ParsedBase,
        location: &SpecLocation,
        found: &mut Diagnostics,
    ) -> Option<Base<Layout, WrittenVariant>> {
        let read = base
            .clone()
            .map(|layout| self.layout(&layout), |variant| variant);
        read.map_err(|message| found.push(at(Diagnostic::error("spec.base", message), location)))
            .ok()
    }

    fn file(&mut self, request: &FileRequest) -> Result<Vec<FileEntry>, String> {
        let entry = |mode, kind, origin: &str| {
            let mode = request.mode.unwrap_or(mode);
            vec![FileEntry::new(
                request.target.clone(),
                mode,
                request.owner.clone(),
                kind,
                origin,
            )]
        };
        match &request.content {
            FileContent::Content(text) => Ok(entry(
                0o644,
                FileKind::File(Content::inline(text.as_bytes())),
                "content",
            )),
            FileContent::Directory => Ok(entry(0o755, FileKind::Directory, "an empty directory")),
            FileContent::Source { directory, pattern } => self.source(request, directory, pattern),
        }
    }

    fn source(
        &mut self,
        request: &FileRequest,
        directory: &Path,
        pattern: &str,
    ) -> Result<Vec<FileEntry>, String> {
        let mut entries = Vec::new();
        let literal = inside(self.root, directory, pattern)?;
        if discover::is_glob(pattern) && !literal.exists() {
            let hits = self.glob(directory, pattern)?;
            if hits.is_empty() {
                return Err(no_match(directory, pattern, &request.location));
            }
            for hit in hits {
                let name = text(hit.file_name().unwrap_or_default().as_ref())?;
                self.place(
                    request,
                    &hit,
                    target::below(&request.target, &name),
                    &mut entries,
                )?;
            }
            return Ok(entries);
        }
        let real = self.real(&literal, pattern)?;
        if real.is_dir() {
            self.directory(request, &real, &request.target, &mut entries)?;
        } else if request.into {
            let name = text(literal.file_name().unwrap_or_default().as_ref())?;
            self.place(
                request,
                &literal,
                target::below(&request.target, &name),
                &mut entries,
            )?;
        } else {
            self.place(request, &literal, request.target.clone(), &mut entries)?;
            let name = text(literal.file_name().unwrap_or_default().as_ref())?;
            for entry in &mut entries {
                entry.name_inside = Some(name.clone());
            }
        }
        Ok(entries)
    }

    fn glob(&self, directory: &Path, pattern: &str) -> Result<Vec<PathBuf>, String> {
        let base = self.root.join(directory);
        let hits = discover::entries(&base, pattern.trim_start_matches("./"))
            .map_err(|error| error.to_string())?;
        Ok(hits.into_iter().map(|hit| base.join(hit)).collect())
    }

    /// The path without symbolic links. Fails if it does not exist or is outside the workspace.
    fn real(&self, path: &Path, shown: &str) -> Result<PathBuf, String> {
        let real = std::fs::canonicalize(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => format!("`{shown}` does not exist"),
            _ => format!("`{shown}` cannot be read: {error}"),
        })?;
        if real.starts_with(self.root) {
            Ok(real)
        } else {
            Err(format!(
                "`{shown}` leads out of the workspace through a symbolic link"
            ))
        }
    }

    /// Places one file or directory that the entry itself names. A symbolic link is followed.
    fn place(
        &mut self,
        request: &FileRequest,
        path: &Path,
        target: String,
        entries: &mut Vec<FileEntry>,
    ) -> Result<(), String> {
        let real = self.real(path, &self.shown(path))?;
        if real.is_dir() {
            return self.directory(request, &real, &target, entries);
        }
        let hashed = self.hashed(&real)?;
        self.lost.extend(
            hashed
                .lost
                .map(|what| (request.location.clone(), self.shown(path), what)),
        );
        let mode = request
            .mode
            .unwrap_or(if hashed.executable { 0o755 } else { 0o644 });
        let kind = FileKind::File(hashed.content);
        entries.push(FileEntry::new(
            target,
            mode,
            request.owner.clone(),
            kind,
            self.shown(path),
        ));
        Ok(())
    }

    /// Places a directory and its content. Symbolic links in it are kept.
    fn directory(
        &mut self,
        request: &FileRequest,
        directory: &Path,
        target: &str,
        entries: &mut Vec<FileEntry>,
    ) -> Result<(), String> {
        let directory_mode = request.mode.map_or(0o755, enterable);
        let mut push = |path: String, mode: u32, kind, origin: String| {
            entries.push(FileEntry::new(
                path,
                mode,
                request.owner.clone(),
                kind,
                origin,
            ));
        };
        let mut lost_attributes = Vec::new();
        // `.git` and `.golden` differ between machines, and the URLs of git remotes may contain a
        // token.
        let state = StateDirectory::of(self.root).path("");
        let is_ignored = |item: &walkdir::DirEntry| {
            item.depth() > 0 && (item.file_name() == ".git" || item.path() == state)
        };
        let items = WalkDir::new(directory)
            .min_depth(1)
            .sort_by_file_name()
            .into_iter();
        let items: Vec<_> = items
            .filter_entry(|item| !is_ignored(item))
            .collect::<Result<_, _>>()
            .map_err(|error| format!("`{}` cannot be read: {error}", self.shown(directory)))?;
        // Parent directories that are created implicitly get no entry of their own, so that
        // directories and links of the base keep their mode and type, such as a writable /tmp or
        // /bin as a link to usr/bin.
        let is_placed =
            |empty: bool| empty || directory_mode != 0o755 || request.owner != FileOwner::ROOT;
        if target != "/" && is_placed(items.is_empty()) {
            push(
                target.to_owned(),
                directory_mode,
                FileKind::Directory,
                self.shown(directory),
            );
        }
        for (number, item) in items.iter().enumerate() {
            let below = item.path().strip_prefix(directory).unwrap_or(item.path());
            let path = target::below(target, &text(below)?);
            let kind = item.file_type();
            if kind.is_dir() {
                let next = items.get(number + 1);
                if is_placed(next.is_none_or(|next| !next.path().starts_with(item.path()))) {
                    push(
                        path,
                        directory_mode,
                        FileKind::Directory,
                        self.shown(item.path()),
                    );
                }
            } else if kind.is_symlink() {
                let link = FileKind::Symlink(self.link(item.path())?);
                push(path, 0o777, link, self.shown(item.path()));
            } else {
                let hashed = self.hashed(item.path())?;
                lost_attributes.extend(
                    hashed
                        .lost
                        .map(|what| (request.location.clone(), self.shown(item.path()), what)),
                );
                let mode = request
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
        self.lost.append(&mut lost_attributes);
        Ok(())
    }

    /// The target of a symbolic link in a directory. An absolute target is a path in the image. A
    /// relative target must not leave the workspace.
    fn link(&self, path: &Path) -> Result<String, String> {
        let shown = self.shown(path);
        let target = super::fs::read_link_in(self.root, path)
            .map_err(|error| format!("`{shown}` cannot be read: {error}"))?;
        let directory = path
            .parent()
            .and_then(|directory| directory.strip_prefix(self.root).ok())
            .unwrap_or(Path::new(""));
        if target.is_relative() && !discover::stays_inside(&directory.join(&target)) {
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

    /// Finds the image of a layout that is used as a base, and checks its manifest.
    fn layout(&self, request: &LayoutRequest) -> Result<Layout, String> {
        let LayoutSpec {
            directory,
            name,
            digest,
        } = &request.layout;
        let shown = directory.as_str();
        let directory = self.real(
            &inside(self.root, &request.directory, directory)?,
            directory,
        )?;
        let invalid = |what: String| format!("`{shown}` is not an OCI layout: {what}");
        if !directory.join("oci-layout").is_file() {
            return Err(invalid("the file oci-layout is missing".to_owned()));
        }
        let read = |path: &Path| {
            let path = self.real(path, &self.shown(path))?;
            super::fs::read_in(self.root, &path, MAX_MANIFEST).map_err(|error| {
                format!("`{}` cannot be read: {}", self.shown(&path), error.source)
            })
        };
        let index = read(&directory.join("index.json"))?;
        let found =
            layout::find(&index, name.as_deref(), digest.as_ref()).map_err(
                |error| match error {
                    layout::Error::Json(_) => invalid(error.to_string()),
                    _ => format!("the layout `{shown}`: {error}"),
                },
            )?;
        let blob = directory
            .join("blobs")
            .join(found.digest.algorithm())
            .join(found.digest.hex());
        if !found.digest.is_of(&read(&blob)?) {
            return Err(format!(
                "the content of `{}` does not match its digest",
                self.shown(&blob)
            ));
        }
        Ok(Layout {
            written: request.layout.to_string(),
            name: name.clone(),
            directory,
            media_type: found.media_type,
            digest: found.digest,
            pinned: digest.is_some(),
            platforms: BTreeMap::new(),
        })
    }

    /// Reads the key of a repository of packages.
    fn key(&self, request: &KeyRequest) -> Result<PackageKey, String> {
        let path = inside(self.root, &request.directory, &request.path)?;
        let real = self.real(&path, &request.path)?;
        let bytes = super::fs::read_in(self.root, &real, MAX_KEY)
            .map_err(|error| format!("`{}` cannot be read: {}", request.path, error.source))?;
        Ok(PackageKey {
            file: text(path.file_name().unwrap_or_default().as_ref())?,
            content: Content::inline(bytes),
        })
    }

    fn trust(&mut self, requests: &[TrustRequest], found: &mut Diagnostics) -> Vec<Certificate> {
        let mut all = Vec::new();
        for request in requests {
            let paths = self.trusted(request).unwrap_or_else(|message| {
                let diagnostic = Diagnostic::error("spec.file", message);
                found.push(at(diagnostic, &request.location));
                Vec::new()
            });
            for path in paths {
                match self.certificates(&path) {
                    Ok(certificates) => all.extend(certificates),
                    Err(diagnostic) => found.push(at(diagnostic, &request.location)),
                }
            }
        }
        certificates::collected(all)
    }

    fn trusted(&self, request: &TrustRequest) -> Result<Vec<PathBuf>, String> {
        let literal = inside(self.root, &request.directory, &request.pattern)?;
        let paths = if discover::is_glob(&request.pattern) && !literal.exists() {
            let mut hits = self.glob(&request.directory, &request.pattern)?;
            hits.retain(|hit| !hit.is_dir());
            if hits.is_empty() {
                return Err(no_match(
                    &request.directory,
                    &request.pattern,
                    &request.location,
                ));
            }
            hits
        } else {
            vec![literal]
        };
        for path in &paths {
            let real = self.real(path, &request.pattern)?;
            if real.is_dir() {
                return Err(format!(
                    "`{}` is a directory; a PEM file is expected",
                    request.pattern
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

/// The error for a glob without matches: the pattern relative to the workspace, and the file that
/// contains it.
fn no_match(directory: &Path, pattern: &str, location: &SpecLocation) -> String {
    let file = location
        .file
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    format!(
        "no file matches {} (paths are relative to {file})",
        directory.join(pattern).display()
    )
}

fn at(diagnostic: Diagnostic, location: &SpecLocation) -> Diagnostic {
    diagnostic.at(&location.file, location.span.clone(), "")
}

/// Resolves a path of a spec. Fails if the path is empty or leaves the workspace.
fn inside(root: &Path, directory: &Path, written: &str) -> Result<PathBuf, String> {
    if written.is_empty() {
        return Err("the path is empty".to_owned());
    }
    if Path::new(written).is_absolute() || !discover::stays_inside(&directory.join(written)) {
        return Err(format!("`{written}` leaves the workspace"));
    }
    Ok(root.join(directory).join(written))
}

fn text(path: &Path) -> Result<String, String> {
    let not_utf8 = || format!("the name `{}` is not UTF-8", path.display());
    path.to_str().map(str::to_owned).ok_or_else(not_utf8)
}

/// Adds the permission to enter a directory for everyone who may read it: 0644 becomes 0755.
const fn enterable(mode: u32) -> u32 {
    mode | (mode & 0o444) >> 2
}

fn hash(root: &Path, path: &Path) -> std::io::Result<Hashed> {
    let mut file = super::fs::open_in(root, path)?;
    let metadata = file.metadata()?;
    let mut hasher = Hasher::sha256();
    let len = hasher.copy(&mut file, &mut std::io::sink())?;
    Ok(Hashed {
        content: Content::File {
            path: path.to_owned(),
            len,
            digest: hasher.finish(),
        },
        executable: executable(&metadata),
        lost: lost_attribute(&file),
    })
}

/// Extended attributes that grant or restrict access. golden's archives do not contain them.
#[cfg(target_os = "linux")]
const ATTRIBUTES: [(&str, &str); 2] = [
    ("security.capability", "file capabilities"),
    ("system.posix_acl_access", "an access control list"),
];

/// The display name of the first such attribute of a file.
#[cfg(target_os = "linux")]
fn lost_attribute(file: &std::fs::File) -> Option<&'static str> {
    let has_attribute =
        |name: &str| rustix::fs::fgetxattr(file, name, &mut [0_u8; 1024]).is_ok_and(|len| len > 0);
    ATTRIBUTES
        .into_iter()
        .find(|(name, _)| has_attribute(name))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_container_structure_test_is_read_once_for_all_images() {
        let directory = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(directory.path()).unwrap();
        let write = |test: &str| {
            let text = format!(
                "schemaVersion: 2.0.0\nfileExistenceTests: [{{ name: {test}, path: /etc }}]\n"
            );
            super::super::fs::write_atomic(&root.join("tests.yaml"), text.as_bytes()).unwrap();
        };
        let request = TrustRequest {
            directory: PathBuf::new(),
            pattern: "tests.yaml".to_owned(),
            location: SpecLocation {
                file: "image.toml".into(),
                span: 0..1,
            },
        };
        let mut assets = Assets::new(&root);
        let mut names = || {
            let tests = assets.structure(None, &request).unwrap();
            tests.into_iter().map(|test| test.name).collect::<Vec<_>>()
        };
        write("first");
        let first = names();
        write("second");
        assert_eq!(first, [Some("first".to_owned())]);
        assert_eq!(names(), first);
    }
}
