//! `--changed COMMIT`: which images differ from a commit, by what they are made of.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::error::Failure;
use crate::process::Environment;
use crate::resolve::draft::{Draft, FileContent};
use crate::workspace::load::Loaded;
use crate::workspace::{git, links, lock::Lock};

/// The images that differ from a commit. golden.toml and the templates belong to all; golden.lock to those whose
/// base has another entry in it.
pub(super) async fn since(
    loaded: &Loaded,
    since: &str,
    environment: &Environment,
) -> Result<BTreeSet<usize>, Failure> {
    // What CI calls the commit before when there was none: everything is new.
    if since.len() >= 40 && since.bytes().all(|b| b == b'0') {
        return Ok((0..loaded.drafts.len()).collect());
    }
    let folders: Vec<PathBuf> = loaded
        .spec
        .workspace
        .templates
        .iter()
        .map(|folder| loaded.root.join(folder))
        .collect();
    let folders: Vec<PathBuf> = folders
        .iter()
        .filter_map(|folder| folder.canonicalize().ok())
        .collect();
    let files = git::changed_since(&loaded.root, since, &folders, environment)
        .await
        .ok_or_else(|| {
            Failure::usage(format!("git knows no commit `{since}` here"))
                .hint("in a shallow clone, fetch more of the history first")
        })?;
    let own = loaded.root.join(&loaded.file);
    let of_all =
        |file: &PathBuf| *file == own || folders.iter().any(|folder| file.starts_with(folder));
    if files.iter().any(of_all) {
        return Ok((0..loaded.drafts.len()).collect());
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
    // What lies below a path comes right after it.
    let below = |path: &PathBuf| {
        files
            .range(path.as_path()..)
            .next()
            .is_some_and(|f| f.starts_with(path))
    };
    let touches = |draft: &Draft| {
        let base = crate::workspace::lock::key(&draft.image.base);
        let inputs = inputs(draft);
        // Links are looked for last: it takes a walk through the folders.
        base.is_some_and(|key| relocked.contains(&key))
            || inputs.iter().any(below)
            || !files.is_empty() && links::followed(&loaded.root, inputs).iter().any(below)
    };
    Ok((0..loaded.drafts.len())
        .filter(|n| touches(&loaded.drafts[*n]))
        .collect())
}

/// The bases that golden.lock has another entry for than it had at a commit.
async fn relocked(
    loaded: &Loaded,
    since: &str,
    environment: &Environment,
) -> Result<BTreeSet<String>, Failure> {
    let file = crate::workspace::lock::FILE;
    let then = match git::file_at(&loaded.root, since, file, environment).await {
        // One that cannot be read any more has nothing in common with today's.
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

/// The paths that an image is made of: its folder, and what it names elsewhere; relative to the workspace.
pub(super) fn inputs(draft: &Draft) -> Vec<PathBuf> {
    let folder = draft
        .image
        .source
        .parent()
        .unwrap_or(Path::new(""))
        .to_owned();
    let mut paths = vec![folder];
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
    if let Some(wish) = &draft.layout {
        add(&wish.directory, &wish.layout.directory);
    }
    for wish in &draft.files {
        if let FileContent::Source { directory, pattern } = &wish.what {
            add(directory, pattern);
        }
    }
    for wish in &draft.trust {
        add(&wish.directory, &wish.pattern);
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
