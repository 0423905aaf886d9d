//! Loads a workspace: reads golden.toml and all image files, and resolves them together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::table_entry::TableEntry;
use super::{discover, gate_tables, git, notify_tables};
use crate::config_files::WorkspaceSpec;
use crate::config_files::document::{self, MAX_BYTES, SourceKind, SpecTable};
use crate::config_files::engine_address::EngineAddress;
use crate::config_files::source_keys::SourceKeys;
use crate::diagnostic::{Diagnostic, Diagnostics, KeyFinder, SourceMap};
use crate::process::Environment;
use crate::resolve::{self, ImageFile, Names, ParsedImages, WorkspaceFile};
use crate::suggest::closest;

/// The code of the finding that a workspace has no images.
pub(crate) const NO_IMAGES: &str = "spec.no-images";

/// The values from the command line and the environment that loading a workspace needs.
#[derive(Debug, Clone, Default)]
pub struct LoadInputs {
    /// The directory in which the search for the workspace starts.
    pub start: PathBuf,
    /// The workspace that `-w` names.
    pub named: Option<PathBuf>,
    /// The variables that `--set` overrides.
    pub set: BTreeMap<String, String>,
    /// The value of `now` in templates, RFC 3339.
    pub now: String,
    /// The environment for child processes such as git.
    pub environment: Environment,
}

/// A workspace after loading, with its diagnostics.
#[derive(Debug)]
pub struct Loaded {
    /// The directory that contains golden.toml, canonical.
    pub root: PathBuf,
    /// The file name, `golden.toml`.
    pub file: PathBuf,
    /// The texts of all files that were read.
    pub sources: SourceMap,
    /// The content of golden.toml.
    pub spec: WorkspaceSpec,
    /// The images of all image files that could be parsed.
    pub images: ParsedImages,
    /// The diagnostics of all files.
    pub found: Diagnostics,
}

/// Reads only golden.toml. Fails if there is no workspace; other errors are in `found`.
pub async fn spec(inputs: &LoadInputs) -> Result<Loaded, discover::Error> {
    read(inputs, false).await
}

/// Reads the whole workspace. Fails if there is no workspace; other errors are in `found`.
pub async fn load(inputs: &LoadInputs) -> Result<Loaded, discover::Error> {
    read(inputs, true).await
}

async fn read(inputs: &LoadInputs, images: bool) -> Result<Loaded, discover::Error> {
    let path = discover::workspace(&inputs.start, inputs.named.as_deref())?;
    let root = path.parent().unwrap_or(Path::new("/")).to_owned();
    let file = PathBuf::from(path.file_name().unwrap_or_default());
    let mut found = Diagnostics::new();
    let mut sources = SourceMap::default();
    add(&root, &file, &mut sources, &mut found);
    let mut names = Names::new(inputs.now.clone());
    let mut has_git = false;
    if mentions_git(&sources, &file) {
        names = with_git(names, &root, &inputs.environment).await;
        has_git = true;
    }
    // Read golden.toml first for its globs, and again if the images use `git`.
    let first = workspace_file(
        &sources,
        &file,
        names.clone(),
        inputs,
        &mut Diagnostics::new(),
    );
    let globs = first.spec.workspace.images.clone();
    drop(first);
    let mut files = BTreeSet::new();
    if images {
        files = image_files(&root, &file, globs.as_deref(), &sources, &mut found);
        for image in &files {
            add(&root, image, &mut sources, &mut found);
        }
        if !has_git && files.iter().any(|image| mentions_git(&sources, image)) {
            names = with_git(names, &root, &inputs.environment).await;
        }
    }
    let workspace = workspace_file(&sources, &file, names, inputs, &mut found);
    let places = SourceKeys::new(&sources);
    check_registries(&root, &workspace.spec, &file, &places, &mut found);
    check_engines(&workspace.spec, &file, &places, &mut found);
    gate_tables::check(&workspace.spec, &file, &places, &mut found);
    notify_tables::check(&workspace.spec, &file, &places, &mut found);
    check_trust(&workspace.spec, &file, &places, &mut found);
    drop(places);
    let images = parsed(&workspace, &files, &sources, &mut found);
    let spec = workspace.spec;
    Ok(Loaded {
        root,
        file,
        sources,
        spec,
        images,
        found,
    })
}

/// Adds the names of git, or the reason why there are none.
async fn with_git(names: Names, root: &Path, environment: &Environment) -> Names {
    let known = git::names(root, environment).await;
    if !known.is_empty() {
        return names.with("git", known);
    }
    names.without(
        "git",
        match git::refusal(root, environment).await {
            Some(words) => format!("git does not read this checkout: {words}"),
            None => "the workspace is not in a git repository with a commit".to_owned(),
        },
    )
}

fn mentions_git(sources: &SourceMap, file: &Path) -> bool {
    sources
        .text(file)
        .is_some_and(|text| text.contains("{{") && text.contains("git"))
}

/// Reads a file into `sources`.
fn add(root: &Path, file: &Path, sources: &mut SourceMap, found: &mut Diagnostics) {
    let path = root.join(file);
    let refuse = |rule, message: String| Diagnostic::error(rule, message).at(file, 0..0, "");
    let read = super::fs::open_in(root, &path).and_then(|file| {
        let length = file.metadata()?.len();
        Ok((length, super::fs::read_all(file, MAX_BYTES as u64)))
    });
    if let Ok((length, Err(error))) = &read
        && error.kind() == std::io::ErrorKind::FileTooLarge
    {
        sources.insert(file, "");
        let message = format!("the file has {} MiB; the limit is 1 MiB", length >> 20);
        let help = "put large content into a separate file and name that file in `source`";
        found.push(refuse("spec.too-long", message).help(help));
        return;
    }
    match read.and_then(|(_, bytes)| bytes).map(String::from_utf8) {
        // Editors count columns without the byte order mark, so it is removed.
        Ok(Ok(text)) => sources.insert(file, with_line_feeds(text.trim_start_matches('\u{feff}'))),
        Ok(Err(error)) => {
            let at = error.utf8_error().valid_up_to();
            sources.insert(file, String::from_utf8_lossy(error.as_bytes()).into_owned());
            let bad = Diagnostic::error("spec.utf8", "the file is not UTF-8");
            found.push(
                bad.at(file, at..at + '\u{fffd}'.len_utf8(), "")
                    .help("save it as UTF-8"),
            );
        }
        Err(error) => {
            sources.insert(file, "");
            found.push(refuse(
                "spec.file",
                format!("the file cannot be read: {error}"),
            ));
        }
    }
}

/// Converts CRLF to LF, so that a spec or template gives the same image however git checked it out.
fn with_line_feeds(text: &str) -> String {
    text.replace("\r\n", "\n")
}

/// Parses a file. None if an earlier diagnostic shows that it is unusable.
fn table<'t>(
    file: &Path,
    kind: SourceKind,
    sources: &'t SourceMap,
    found: &mut Diagnostics,
) -> Option<SpecTable<'t>> {
    let text = sources.text(file)?;
    let unusable = |d: &Diagnostic| {
        matches!(&*d.rule, "spec.utf8" | "spec.too-long" | "spec.file")
            && d.labels.iter().any(|l| l.file == file)
    };
    if found.iter().any(unusable) {
        return None;
    }
    document::parse(file, kind, text, found)
}

fn workspace_file<'t>(
    sources: &'t SourceMap,
    file: &Path,
    names: Names,
    inputs: &LoadInputs,
    found: &mut Diagnostics,
) -> WorkspaceFile<'t> {
    let table = table(file, SourceKind::Workspace, sources, found).unwrap_or_default();
    resolve::workspace(file, table, names, &inputs.set, found)
}

fn parsed(
    workspace: &WorkspaceFile<'_>,
    files: &BTreeSet<PathBuf>,
    sources: &SourceMap,
    found: &mut Diagnostics,
) -> ParsedImages {
    let parse = |file: &PathBuf| {
        table(file, SourceKind::Image, sources, found).map(|table| ImageFile {
            file: file.clone(),
            table,
        })
    };
    let images: Vec<ImageFile<'_>> = files.iter().filter_map(parse).collect();
    let complete = images.len() == files.len();
    resolve::images(workspace, &images, complete, found)
}

fn image_files(
    root: &Path,
    file: &Path,
    globs: Option<&[String]>,
    sources: &SourceMap,
    found: &mut Diagnostics,
) -> BTreeSet<PathBuf> {
    let places = SourceKeys::new(sources);
    let standard = [discover::DEFAULT_IMAGES.to_owned()];
    let mut files = BTreeSet::new();
    let mut broken = false;
    for (n, glob) in globs.unwrap_or(&standard).iter().enumerate() {
        match discover::image_files(root, glob) {
            Ok(hits) => files.extend(hits),
            Err(discover::ImageFilesError { message, help }) => {
                let place = places
                    .value(file, &["workspace", "images", &n.to_string()])
                    .unwrap_or(0..0);
                broken = true;
                let error = Diagnostic::error("spec.file", message).at(file, place, "");
                found.push(Diagnostic { help, ..error });
            }
        }
    }
    files.remove(file);
    if files.is_empty() && !broken {
        let place = places.value(file, &["workspace", "images"]).unwrap_or(0..0);
        let message = "this workspace has no images: no file matches its globs";
        let help = "create an image.toml in a directory below golden.toml; `golden init DIR` creates an example";
        found.push(
            Diagnostic::error(NO_IMAGES, message)
                .at(file, place, "")
                .help(help),
        );
    }
    files
}

/// Checks `[signing]`, `[sbom]`, `[provenance]` and `[[trust]]` for errors that serde cannot
/// detect.
fn check_trust(spec: &WorkspaceSpec, file: &Path, places: &dyn KeyFinder, found: &mut Diagnostics) {
    let sbom = spec.sbom.as_ref().and_then(|table| table.formats.as_ref());
    let no_signature = spec.signing.formats.as_ref().is_some_and(Vec::is_empty);
    for (is_empty, table, of, formats) in [
        (no_signature, "signing", "signatures", ["bundle", "simple"]),
        (
            sbom.is_some_and(Vec::is_empty),
            "sbom",
            "bills of materials",
            ["cyclonedx", "spdx"],
        ),
    ] {
        if is_empty {
            let at = places.value(file, &[table, "formats"]);
            let error = Diagnostic::error("spec.value", format!("no format of {of} is listed"));
            let [one, other] = formats;
            let help = format!("remove the key, or list \"{one}\", \"{other}\" or both");
            found.push(error.at(file, at.unwrap_or(0..0), "").help(help));
        }
    }
    let builder = spec.provenance.as_ref().and_then(|it| it.builder.as_ref());
    if let Some(builder) = builder.filter(|text| url::Url::parse(text).is_err()) {
        let at = places.value(file, &["provenance", "builder"]);
        let message = format!("`{builder}` is not a URI");
        let help =
            "write the URI of the system that builds, such as \"https://ci.example.com/golden\"";
        let error = Diagnostic::error("spec.value", message);
        found.push(error.at(file, at.unwrap_or(0..0), "").help(help));
    }
    for (n, name) in spec.policy.base.signed_by.iter().enumerate() {
        let known = || spec.trust.iter().filter_map(|trust| trust.name.as_deref());
        if known().any(|known| known == name) {
            continue;
        }
        let path = ["policy", "base", "signed_by", &n.to_string()];
        let at = places.value(file, &path).unwrap_or(0..0);
        let message = format!("there is no [[trust]] table with the name `{name}`");
        let help = closest(name, known()).map_or_else(
            || "add a [[trust]] table with its images and keys".to_owned(),
            |similar| format!("did you mean \"{similar}\"?"),
        );
        found.push(
            Diagnostic::error("spec.policy", message)
                .at(file, at, "")
                .help(help),
        );
    }
    let mut names = BTreeSet::new();
    for (n, trust) in spec.trust.iter().enumerate() {
        let entry = TableEntry::new("trust", n, file, places);
        let program = trust.verify.as_ref();
        if program.is_some_and(|command| command.first().is_none_or(String::is_empty)) {
            let message = "`verify` names no program".to_owned();
            found.push(entry.error("verify", "spec.value", message));
        }
        for key in ["name", "images", "keys"] {
            if !entry.has(key) && (key != "keys" || program.is_none()) {
                let message = format!("`{key}` is missing in [[trust]]");
                found.push(entry.error(key, "spec.missing", message));
            }
        }
        if let Some(name) = trust.name.as_ref().filter(|name| !names.insert(*name)) {
            let message = format!("two [[trust]] tables have the name `{name}`");
            found.push(entry.error("name", "spec.value", message));
        }
        found.extend(entry.globs(&trust.images));
    }
}

/// Checks `[[registry]]` for errors that serde cannot detect.
fn check_registries(
    root: &Path,
    spec: &WorkspaceSpec,
    file: &Path,
    places: &dyn KeyFinder,
    found: &mut Diagnostics,
) {
    let mut names = BTreeSet::new();
    for (n, registry) in spec.registry.iter().enumerate() {
        let entry = TableEntry::new("registry", n, file, places);
        let mut refuse = |key: &str, rule: &'static str, message: String| {
            found.push(entry.error(key, rule, message));
        };
        for (key, missing) in [
            ("name", registry.name.is_none()),
            ("host", registry.host.is_none()),
        ] {
            if missing && !entry.has(key) {
                refuse(
                    key,
                    "spec.missing",
                    format!("`{key}` is missing in [[registry]]"),
                );
            }
        }
        if let Some(name) = &registry.name {
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
            if name.is_empty() || name.starts_with('.') || !name.bytes().all(plain) {
                refuse(
                    "name",
                    "spec.value",
                    format!("`{name}` is not a name (letters, digits, `_`, `-`, `.`)"),
                );
            } else if !names.insert(name) {
                refuse(
                    "name",
                    "spec.value",
                    format!("two registries are called `{name}`"),
                );
            }
        }
        if let Some(namespace) = registry
            .namespace
            .as_deref()
            .filter(|namespace| !namespace.is_empty())
            && let Err(error) = namespace.parse::<crate::reference::RepositoryPath>()
        {
            refuse("namespace", "spec.value", error.to_string());
        }
        if let Some(ca) = &registry.ca {
            let path = root.join(ca);
            if Path::new(ca).is_absolute() || !discover::stays_inside(Path::new(ca)) {
                refuse("ca", "spec.file", format!("`{ca}` leaves the workspace"));
            } else if path.is_dir() {
                refuse(
                    "ca",
                    "spec.file",
                    format!("`{ca}` is a directory; a PEM file is expected"),
                );
            } else if !path.exists() {
                refuse("ca", "spec.file", format!("`{ca}` does not exist"));
            } else if !std::fs::canonicalize(&path).is_ok_and(|real| real.starts_with(root)) {
                refuse(
                    "ca",
                    "spec.file",
                    format!("`{ca}` leads out of the workspace through a symbolic link"),
                );
            }
        }
    }
}

/// Checks `[[engine]]` for errors that serde cannot detect.
fn check_engines(
    spec: &WorkspaceSpec,
    file: &Path,
    places: &dyn KeyFinder,
    found: &mut Diagnostics,
) {
    let mut names = BTreeSet::new();
    for (n, engine) in spec.engine.iter().enumerate() {
        let entry = TableEntry::new("engine", n, file, places);
        let mut refuse = |key: &str, rule: &'static str, message: String| {
            found.push(entry.error(key, rule, message));
        };
        let Some(host) = &engine.host else {
            if !entry.has("host") {
                refuse(
                    "host",
                    "spec.missing",
                    "`host` is missing in [[engine]]".to_owned(),
                );
            }
            continue;
        };
        if let Err(error) = EngineAddress::of_table(host) {
            refuse("host", "spec.value", error);
        }
        if !names.insert(engine.shown_name()) {
            let key = if engine.name.is_some() {
                "name"
            } else {
                "host"
            };
            let name = engine.shown_name().unwrap_or_default();
            refuse(
                key,
                "spec.value",
                format!("two engines are called `{name}`"),
            );
        }
    }
}

/// The longest template that is read, in bytes.
const MAX_TEMPLATE: u64 = 256 << 10;

/// The text of each template of the workspace, by name. The first directory that has a template
/// takes precedence.
pub fn templates(loaded: &mut Loaded) -> BTreeMap<String, String> {
    let mut templates = BTreeMap::new();
    let directories = loaded.spec.workspace.templates.clone();
    for (n, directory) in directories.iter().enumerate() {
        let place = SourceKeys::new(&loaded.sources)
            .value(&loaded.file, &["workspace", "templates", &n.to_string()]);
        let refuse = |message: String| {
            let diagnostic = Diagnostic::error("spec.file", message);
            diagnostic.at(&loaded.file, place.clone().unwrap_or(0..0), "")
        };
        let path = std::fs::canonicalize(loaded.root.join(directory));
        let listed = path.and_then(|path| Ok((std::fs::read_dir(&path)?, path)));
        let Ok((listing, path)) = listed else {
            let message = format!("the directory `{directory}` does not exist, or cannot be read");
            loaded.found.push(refuse(message));
            continue;
        };
        let mut broken = Vec::new();
        for entry in listing.flatten() {
            let file = entry.file_name();
            let Some(name) = file
                .to_str()
                .and_then(|file| file.strip_suffix(crate::render::Templates::SUFFIX))
            else {
                continue;
            };
            match template(&loaded.root, &path, &entry.path()) {
                Ok(text) => {
                    templates
                        .entry(name.to_owned())
                        .or_insert_with(|| with_line_feeds(&text));
                }
                Err(why) => {
                    broken.push(refuse(format!(
                        "`{directory}/{}` cannot be read: {why}",
                        file.display()
                    )));
                }
            }
        }
        for diagnostic in broken {
            loaded.found.push(diagnostic);
        }
    }
    templates
}

/// The text of a template. A symbolic link may lead to another place in the template's directory or
/// the workspace.
fn template(root: &Path, directory: &Path, path: &Path) -> Result<String, String> {
    let file = super::fs::open_in(directory, path).or_else(|error| {
        if path.is_symlink() {
            super::fs::open_in(root, path)
        } else {
            Err(error)
        }
    });
    let bytes = file.and_then(|file| super::fs::read_all(file, MAX_TEMPLATE));
    let bytes = bytes.map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}
