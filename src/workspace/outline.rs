//! Reads the names in a workspace without checking it, for completions. It runs no program and
//! ignores files that cannot be read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{discover, fs};
use crate::config_files::document::MAX_BYTES;
use crate::reference::RepositoryPath;

/// The most image files that are read.
const MOST_FILES: usize = 1000;

/// The content of golden.toml.
#[derive(Debug)]
pub struct Outline {
    root: PathBuf,
    file: PathBuf,
    table: Table,
}

impl Outline {
    /// Finds and reads golden.toml, in `named` if it is given, else in `start` or above it.
    #[must_use]
    pub fn find(start: &Path, named: Option<&Path>) -> Option<Self> {
        let path = discover::workspace(start, named).ok()?;
        let root = path.parent()?.to_owned();
        let file = PathBuf::from(path.file_name()?);
        let table = table(&root, &file)?;
        Some(Self { root, file, table })
    }

    /// The names of the images. A name with an expression is omitted.
    #[must_use]
    pub fn images(&self) -> BTreeSet<String> {
        let globs = self.table.get("workspace").and_then(|it| it.get("images"));
        let globs: Vec<&str> = match globs {
            Some(globs) => texts(globs).collect(),
            None => vec![discover::DEFAULT_IMAGES],
        };
        let files = globs
            .iter()
            .filter_map(|glob| discover::image_files(&self.root, glob).ok());
        let mut files: BTreeSet<PathBuf> = files.flatten().collect();
        files.remove(&self.file);
        let names = files.iter().take(MOST_FILES).filter_map(|file| {
            let table = table(&self.root, file)?;
            let name = table.get("image")?.get("name")?.as_str()?;
            // Only valid names are offered, so no other text reaches the shell.
            name.parse::<RepositoryPath>().ok()?;
            Some(name.to_owned())
        });
        names.collect()
    }

    /// The names of the `[[registry]]` tables.
    #[must_use]
    pub fn registries(&self) -> BTreeSet<String> {
        let tables = self.table.get("registry").and_then(Value::as_array);
        let names = tables
            .into_iter()
            .flatten()
            .filter_map(|table| table.get("name")?.as_str());
        let is_plain = |name: &&str| {
            name.chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        names.filter(is_plain).map(str::to_owned).collect()
    }
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let values = value.as_array().into_iter().flatten();
    values.filter_map(Value::as_str)
}

fn table(root: &Path, file: &Path) -> Option<Table> {
    let bytes = fs::read_in(root, &root.join(file), MAX_BYTES as u64).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    toml::from_str(text.trim_start_matches('\u{feff}')).ok()
}
