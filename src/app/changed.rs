//! `--changed COMMIT`: selects the images whose files differ from a commit.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::error::Error;
use crate::process::Environment;
use crate::resolve::ParsedImage;
use crate::resolve::image::Base;
use crate::resolve::parsed::FileContent;
use crate::workspace::load::Loaded;
use crate::workspace::{git, links, lock::Lock};

/// The images that differ from a commit. A change of golden.toml or of a template affects all
/// images. A change of golden.lock affects the images whose base has another entry. Fails if git
/// does not know the commit.
pub(super) async fn since(
    loaded: &Loaded,
    since: &str,
    environment: &Environment,
) -> Result<BTreeSet<usize>, Error> {
    // CI systems pass zeros if there is no earlier commit: every image is new.
    let images = &loaded.images.images;
    if since.len() >= 40 && since.bytes().all(|b| b == b'0') {
        return Ok((0..images.len()).collect());
    }
    let templates: Vec<PathBuf> = loaded
        .spec
        .workspace
        .templates
        .iter()
        .map(|directory| loaded.root.join(directory))
        .collect();
    let templates: Vec<PathBuf> = templates
        .iter()
        .filter_map(|directory| directory.canonicalize().ok())
        .collect();
    let files = git::changed_since(&loaded.root, since, &templates, environment)
        .await
        .ok_or_else(|| {
            Error::invalid(format!("git does not know the commit `{since}`"))
                .hint("in a shallow clone, fetch more of the history first")
        })?;
    let workspace_file = loaded.root.join(&loaded.file);
    let affects_all = |file: &PathBuf| {
        *file == workspace_file
            || templates
                .iter()
                .any(|directory| file.starts_with(directory))
    };
    if files.iter().any(affects_all) {
        return Ok((0..images.len()).collect());
    }
    let lock = loaded.root.join(crate::workspace::lock::FILE);
    let relocked = if files.contains(&lock) {
        relocked(loaded, since, environment).await?
    } else {
        BTreeSet::new()
    };
    let files: BTreeSet<&Path> = files
        .iter()
        .filter_map(|file| file.strip_prefix(&loaded.root).ok())
        .collect();
    // In sorted order, the files inside a directory follow directly after its path.
    let is_changed = |path: &PathBuf| {
        files
            .range(path.as_path()..)
            .next()
            .is_some_and(|f| f.starts_with(path))
    };
    let touches = |image: &ParsedImage| {
        let base = crate::workspace::lock::key(&image.base);
        let inputs = inputs(image);
        // Symbolic links are checked last, because that reads all directories.
        base.is_some_and(|key| relocked.contains(&key))
            || inputs.iter().any(is_changed)
            || !files.is_empty() && links::followed(&loaded.root, inputs).iter().any(is_changed)
    };
    Ok((0..images.len())
        .filter(|n| touches(&images[*n].parsed))
        .collect())
}

/// The bases whose entry in golden.lock differs from the entry at a commit.
async fn relocked(
    loaded: &Loaded,
    since: &str,
    environment: &Environment,
) -> Result<BTreeSet<String>, Error> {
    let file = crate::workspace::lock::FILE;
    let then = match git::file_at(&loaded.root, since, file, environment).await {
        // If an old file cannot be parsed, every entry counts as changed.
        Some(text) => Lock::parse(&text).unwrap_or_default(),
        None => Lock::default(),
    };
    let now = Lock::read(&loaded.root)?;
    let keys = then.bases.keys().chain(now.bases.keys());
    Ok(keys
        .filter(|key| then.bases.get(*key) != now.bases.get(*key))
        .cloned()
        .collect())
}

/// The files and directories that an image uses: its own directory, and the paths outside it that
/// its spec names. The paths are relative to the workspace.
pub(super) fn inputs(image: &ParsedImage) -> Vec<PathBuf> {
    let requests = &image.requests;
    let directory = requests.source.parent().unwrap_or(Path::new("")).to_owned();
    let mut paths = vec![directory];
    let mut add = |base: &Path, pattern: &str| {
        let prefix = if crate::workspace::discover::is_glob(pattern) {
            crate::workspace::discover::literal_prefix(pattern)
        } else {
            PathBuf::from(pattern)
        };
        let path = lexical(&base.join(prefix));
        if !paths.iter().any(|known| path.starts_with(known)) {
            paths.push(path);
        }
    };
    if let Base::Layout(base) = &image.base {
        add(&base.directory, &base.layout.directory);
    }
    for file in &requests.files {
        if let FileContent::Source { directory, pattern } = &file.content {
            add(directory, pattern);
        }
    }
    for certificate in &requests.trust {
        add(&certificate.directory, &certificate.pattern);
    }
    paths
}

fn lexical(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                parts.pop();
            }
            std::path::Component::Normal(name) => parts.push(name),
            _ => {}
        }
    }
    parts
}
