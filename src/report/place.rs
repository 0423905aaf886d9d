//! The place of a finding, in the form that all report formats use.

use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, Label, Position, SourceMap};

/// The start and the end of a place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReportLocation {
    /// The path of the file as the output shows it, with `/` as the separator.
    pub(super) file: String,
    /// The start; `None` if the text of the file is unknown.
    pub(super) start: Option<Position>,
    /// The end, exclusive; `None` if the text of the file is unknown.
    pub(super) end: Option<Position>,
}

impl ReportLocation {
    /// The place of a label.
    pub(super) fn of(label: &Label, sources: &SourceMap) -> Self {
        Self {
            file: slashes(&sources.shown(&label.file)),
            start: sources.position(&label.file, label.span.start),
            end: sources.position(&label.file, label.span.end.max(label.span.start)),
        }
    }

    /// The main place of a finding; `None` if it has no place.
    pub(super) fn main(diagnostic: &Diagnostic, sources: &SourceMap) -> Option<Self> {
        diagnostic
            .labels
            .first()
            .map(|label| Self::of(label, sources))
    }
}

/// A path with `/` as the separator on every system.
pub(super) fn slashes(path: &Path) -> String {
    let parts: Vec<_> = path
        .components()
        .map(|part| part.as_os_str().to_string_lossy())
        .collect();
    let joined = parts.join("/");
    joined
        .strip_prefix('/')
        .filter(|rest| rest.starts_with('/'))
        .map_or(joined.clone(), str::to_owned)
}

/// The number of different files with findings.
pub(super) fn files<'d>(found: impl Iterator<Item = &'d Diagnostic>) -> usize {
    found
        .filter_map(|d| d.labels.first())
        .map(|label| &label.file)
        .collect::<std::collections::BTreeSet<&PathBuf>>()
        .len()
}
