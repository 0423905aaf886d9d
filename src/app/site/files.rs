//! The directory of a report: refuses one with other files, writes the pages, and removes pages of
//! an earlier report.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _};
use std::path::Path;

use serde::Serialize;

use crate::app::Error;
use crate::workspace::fs;
use crate::workspace::state;

/// The mark near the start of every page.
pub const MARK: &str = "<!-- written by golden report -->";
/// The page with the table of all images.
pub const INDEX: &str = "index.html";
/// The directory of the pages of single images.
pub const IMAGES: &str = "images";

/// The number of bytes in which a page has its mark.
const MARKED: u64 = 200;

/// The files of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct WrittenSite {
    /// The number of files that were written.
    pub written: usize,
    /// The number of files that were up to date.
    pub unchanged: usize,
    /// The number of pages of an earlier report that were removed.
    pub removed: usize,
}

/// Fails if the directory has files that do not belong to a report.
pub fn require_own(directory: &Path) -> Result<(), Error> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("read", directory, error)),
    };
    if is_page(&directory.join(INDEX)) {
        return Ok(());
    }
    for entry in entries {
        let entry = entry.map_err(|error| failed("read", directory, error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // An earlier run may have been interrupted before it wrote the index. A checkout of a
        // branch for pages contains only `.git`.
        let is_own = name == ".git"
            || name.starts_with(fs::UNFINISHED)
            || (name == IMAGES && has_only_pages(&entry.path()));
        if !is_own {
            let shown = directory.display();
            let message =
                format!("{shown} is not empty and has no report of golden; nothing was written");
            let hint = format!(
                "choose another directory with --out, or remove {name} and the other files in {shown}"
            );
            return Err(Error::invalid(message).hint(hint));
        }
    }
    Ok(())
}

/// Writes the files of a report, by their paths in the directory, and removes the pages of an
/// earlier report that are not among them. A file is complete or absent at any time. Fails as
/// [`require_own`] does, or if a file cannot be written.
pub fn write(directory: &Path, files: &BTreeMap<String, String>) -> Result<WrittenSite, Error> {
    require_own(directory)?;
    let images = directory.join(IMAGES);
    for directory in [directory, &images] {
        fs::sweep(directory);
    }
    let mut site = WrittenSite {
        written: 0,
        unchanged: 0,
        removed: 0,
    };
    let index_file = directory.join(INDEX);
    // The index is written last, so that its links lead to pages.
    let (index, pages): (Vec<_>, Vec<_>) = files.iter().partition(|(path, _)| *path == INDEX);
    for (path, text) in pages.into_iter().chain(index) {
        let path = directory.join(path);
        if fs::read_if_exists(&path)?.as_deref() == Some(text.as_bytes()) {
            site.unchanged += 1;
        } else {
            if path == index_file {
                // An index that a crash left empty would not show that the directory is a report.
                fs::write_atomic(&path, text.as_bytes())?;
            } else {
                fs::write_cached(&path, text.as_bytes())?;
            }
            site.written += 1;
        }
    }
    let expected: BTreeSet<&str> = files
        .keys()
        .filter_map(|path| path.strip_prefix(IMAGES)?.strip_prefix('/'))
        .collect();
    for entry in std::fs::read_dir(&images).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_expected = name.to_str().is_some_and(|name| expected.contains(name));
        if !is_expected && is_page(&entry.path()) {
            let path = entry.path();
            std::fs::remove_file(&path).map_err(|error| failed("remove", &path, error))?;
            site.removed += 1;
        }
    }
    Ok(site)
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> Error {
    let path = path.to_owned();
    Error::File(state::Error {
        action,
        path,
        source,
    })
}

/// True if a regular file has the mark of a page.
fn is_page(path: &Path) -> bool {
    let is_file = path.symlink_metadata().is_ok_and(|found| found.is_file());
    if !is_file || path.extension().is_none_or(|extension| extension != "html") {
        return false;
    }
    let mut start = Vec::new();
    let read = fs::open(path).and_then(|file| file.take(MARKED).read_to_end(&mut start));
    read.is_ok() && String::from_utf8_lossy(&start).contains(MARK)
}

fn has_only_pages(directory: &Path) -> bool {
    let entries = std::fs::read_dir(directory);
    entries.is_ok_and(|mut entries| {
        entries.all(|entry| {
            entry.is_ok_and(|entry| {
                let name = entry.file_name();
                is_page(&entry.path()) || name.to_string_lossy().starts_with(fs::UNFINISHED)
            })
        })
    })
}
