//! Formats golden.toml and every image.toml.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::error::Error;
use super::session::prefix;
use super::settings::Settings;
use crate::config_files::edit::Edit;
use crate::config_files::format::format;
use crate::workspace::{fs, load};

/// A file whose formatting differs from the standard.
#[derive(Debug, Clone, Serialize)]
pub struct FormattedFile {
    /// The path, from the current directory.
    pub file: PathBuf,
    /// True if the file was written.
    pub written: bool,
    /// The difference, as `diff -u` shows it.
    pub diff: String,
}

/// Formats the files of the workspace, or with `check` only compares them. Returns the files that
/// differ. Nothing is written if a file is not TOML or cannot be written.
pub async fn files(settings: &Settings, check: bool) -> Result<Vec<FormattedFile>, Error> {
    let loaded = load::load(&settings.load_inputs()?).await?;
    let root = loaded.root;
    let shown = prefix(&settings.cwd, &root);
    let mut changed = Vec::new();
    for file in loaded.sources.files() {
        let edit = edit(&root, file, &shown.join(file))?;
        if !edit.is_empty() {
            changed.push((file.to_owned(), edit));
        }
    }
    if !check {
        let files = changed.iter();
        fs::write_together(&root, files.map(|(file, edit)| (&**file, &*edit.after)))?;
    }
    let mut formatted = Vec::with_capacity(changed.len());
    for (file, edit) in changed {
        let file = shown.join(file);
        formatted.push(FormattedFile {
            diff: edit.diff(&file.display().to_string()),
            file,
            written: !check,
        });
    }
    Ok(formatted)
}

/// A file before and after formatting. Fails if it is not UTF-8 or not TOML.
fn edit(root: &Path, file: &Path, shown: &Path) -> Result<Edit, Error> {
    let invalid = |reason: String| Error::invalid(format!("{}: {reason}", shown.display()));
    let bytes = fs::read_beneath(root, file)?.unwrap_or_default();
    let before = String::from_utf8(bytes).map_err(|error| invalid(error.to_string()))?;
    let after =
        format(&before).map_err(|error| invalid(error.to_string().trim_end().to_owned()))?;
    Ok(Edit { before, after })
}
