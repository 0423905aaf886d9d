//! Where a finding is, worked out once for every form of report.

use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, Label, Position, SourceMap};

/// A place with its end, for reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReportLocation {
    /// The file as it is shown, `/`-separated.
    pub(super) file: String,
    /// Where it begins; None in a file whose text is not at hand.
    pub(super) start: Option<Position>,
    /// Where it ends, not included.
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

    /// The main place of a finding.
    pub(super) fn main(diagnostic: &Diagnostic, sources: &SourceMap) -> Option<Self> {
        diagnostic
            .labels
            .first()
            .map(|label| Self::of(label, sources))
    }
}

/// A path with `/` on every system.
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

/// The files that findings name, each once.
pub(super) fn files<'d>(found: impl Iterator<Item = &'d Diagnostic>) -> usize {
    found
        .filter_map(|d| d.labels.first())
        .map(|label| &label.file)
        .collect::<std::collections::BTreeSet<&PathBuf>>()
        .len()
}
