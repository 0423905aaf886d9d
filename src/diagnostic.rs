//! Findings about the user's files. They are collected instead of returned as errors, and each has
//! a place in a file.
//!
//! A [`Diagnostic`] is data. The module `report` prints it as text, JSON, GitHub annotations or
//! SARIF.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// The rule of the error that the template in a string cannot be filled in.
pub const TEMPLATE: &str = "spec.template";

/// The severity of a finding, in ascending order.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Reported; the run continues.
    Warning,
    /// The run stops before it changes anything.
    Error,
}

/// The class of a finding. It decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// The files do not parse, or contradict themselves: exit 2.
    Spec,
    /// The files are valid but violate the policy: exit 3.
    Policy,
}

/// A place in a file, with the text that reports print there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The file, relative to the workspace, as in [`SourceMap`].
    pub file: PathBuf,
    /// Byte range in the file; empty, at the end of the file, if something is missing.
    pub span: Range<usize>,
    /// The text under the marked source; may be empty.
    pub text: String,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The stable ID of the rule, such as `spec.unknown-key` or `labels.required`.
    pub rule: Cow<'static, str>,
    /// Errors stop the run; warnings do not.
    pub severity: Severity,
    /// Decides the exit code if this finding is an error.
    pub class: Class,
    /// The problem, as one sentence without a full stop.
    pub message: String,
    /// The image that the finding is about, if it is about a single image.
    pub image: Option<String>,
    /// The places. The first is the main one, the others are context. Empty if the finding has no
    /// place in a file.
    pub labels: Vec<Label>,
    /// The next step for the user.
    pub help: Option<String>,
    /// Parts of files that look like credentials. No finding shows them, including other findings.
    pub hidden: Vec<(PathBuf, Range<usize>)>,
}

impl Diagnostic {
    /// Creates an error of the spec that has no place yet.
    pub fn error(rule: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self {
            rule: rule.into(),
            severity: Severity::Error,
            class: Class::Spec,
            message: message.into(),
            image: None,
            labels: Vec::new(),
            help: None,
            hidden: Vec::new(),
        }
    }

    /// Creates a warning about the spec that has no place yet.
    pub fn warning(rule: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(rule, message)
        }
    }

    /// Changes the class to policy.
    #[must_use]
    pub fn of_policy(mut self) -> Self {
        self.class = Class::Policy;
        self
    }

    /// Adds a place. The first one added is the main place.
    #[must_use]
    pub fn at(
        mut self,
        file: impl Into<PathBuf>,
        span: Range<usize>,
        text: impl Into<String>,
    ) -> Self {
        self.labels.push(Label {
            file: file.into(),
            span,
            text: text.into(),
        });
        self
    }

    /// Sets the image that the finding is about.
    #[must_use]
    pub fn about(mut self, image: impl Into<String>) -> Self {
        self.image = Some(image.into());
        self
    }

    /// Sets the next step for the user.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Findings, in the order of the output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// Creates an empty collection.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a finding.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Adds all findings of another collection.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Sorts by file, place, rule and message, so that the output does not depend on the order of
    /// the checks. Removes duplicates, and the findings on strings whose templates failed: they are
    /// about the unexpanded text.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        let key = |d: &Diagnostic| {
            let place = d.labels.first().map(|l| (l.file.clone(), l.span.start));
            (
                place.is_none(),
                place,
                d.rule.clone(),
                d.message.clone(),
                d.image.clone(),
            )
        };
        self.0.sort_by_cached_key(key);
        self.0.dedup();
        let place = |d: &Diagnostic| {
            let label = d.labels.first()?;
            Some((label.file.clone(), label.span.start, label.span.end))
        };
        let failed: BTreeSet<_> = self
            .0
            .iter()
            .filter(|d| d.rule == TEMPLATE)
            .filter_map(place)
            .collect();
        self.0.retain(|d| {
            d.rule == TEMPLATE || place(d).is_none_or(|place| !failed.contains(&place))
        });
        self
    }

    /// True if there are no findings.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True if at least one finding is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|d| d.severity == Severity::Error)
    }

    /// The class that decides the exit code: spec errors take precedence over policy errors. `None`
    /// if no finding is an error.
    #[must_use]
    pub fn worst(&self) -> Option<Class> {
        self.0
            .iter()
            .filter(|d| d.severity == Severity::Error)
            .map(|d| d.class)
            .min()
    }

    /// Iterates over the findings.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter()
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Finds the keys of the user's files, for checks that run after parsing. A path lists the keys
/// from the top of the file; items of an array have their decimal index: `["run", "0", "script"]`.
pub trait KeyFinder {
    /// The byte range of a key, or of a table's header. `None` if the file has no such key.
    fn key(&self, file: &Path, path: &[&str]) -> Option<Range<usize>>;
    /// The byte range of a key's value. `None` if the file has no such key.
    fn value(&self, file: &Path, path: &[&str]) -> Option<Range<usize>>;
}

/// A [`KeyFinder`] for callers without source files. It finds no key.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoKeys;

impl KeyFinder for NoKeys {
    fn key(&self, _: &Path, _: &[&str]) -> Option<Range<usize>> {
        None
    }

    fn value(&self, _: &Path, _: &[&str]) -> Option<Range<usize>> {
        None
    }
}

/// The text of every file that a diagnostic can refer to, by its path relative to the workspace.
#[derive(Debug, Clone, Default)]
pub struct SourceMap {
    texts: BTreeMap<PathBuf, SourceText>,
    prefix: PathBuf,
}

#[derive(Debug, Clone)]
struct SourceText {
    text: Arc<str>,
    /// The offset of each line. It is filled at the first use, because a file can have many findings
    /// or none.
    lines: OnceLock<Vec<usize>>,
}

impl SourceText {
    fn lines(&self) -> &[usize] {
        self.lines.get_or_init(|| {
            let newlines = self.text.match_indices('\n').map(|(offset, _)| offset + 1);
            std::iter::once(0).chain(newlines).collect()
        })
    }
}

/// A line and a column, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Position {
    /// Line number in the file.
    pub line: usize,
    /// Column in characters, not bytes.
    pub column: usize,
}

impl SourceMap {
    /// Adds a file and its text.
    pub fn insert(&mut self, file: impl Into<PathBuf>, text: impl Into<Arc<str>>) {
        let source = SourceText {
            text: text.into(),
            lines: OnceLock::new(),
        };
        self.texts.insert(file.into(), source);
    }

    /// The files, sorted.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.texts.keys().map(PathBuf::as_path)
    }

    /// Sets the path from the current directory to the workspace, so that the user can open the
    /// paths in the output.
    pub fn set_prefix(&mut self, prefix: impl Into<PathBuf>) {
        self.prefix = prefix.into();
    }

    /// The path of a file as the output shows it.
    #[must_use]
    pub fn shown(&self, file: &Path) -> PathBuf {
        self.prefix.join(file)
    }

    /// The text of a file; `None` if the file is unknown.
    #[must_use]
    pub fn text(&self, file: &Path) -> Option<&str> {
        self.texts.get(file).map(|source| &*source.text)
    }

    /// The path and the text of a file; `None` if the file is unknown.
    pub(crate) fn entry(&self, file: &Path) -> Option<(&Path, &str)> {
        let (file, source) = self.texts.get_key_value(file)?;
        Some((file, &source.text))
    }

    /// Line and column of byte `offset` of `file`; `None` if the file is unknown.
    #[must_use]
    pub fn position(&self, file: &Path, offset: usize) -> Option<Position> {
        let source = self.texts.get(file)?;
        let end = source.text.floor_char_boundary(offset);
        let lines = source.lines();
        let line = lines.partition_point(|start| *start <= end);
        Some(Position {
            line,
            column: source.text[lines[line - 1]..end].chars().count() + 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_start_at_one_and_count_characters() {
        let mut sources = SourceMap::default();
        sources.insert("a.toml", "é = 1\nkey = 2\n");
        let at = |offset| {
            sources
                .position(Path::new("a.toml"), offset)
                .map(|p| (p.line, p.column))
        };
        assert_eq!(at(0), Some((1, 1)));
        assert_eq!(at(2), Some((1, 2)));
        assert_eq!(at(7), Some((2, 1)));
        assert_eq!(at(999), Some((3, 1)));
    }

    #[test]
    fn a_spec_error_takes_precedence_over_a_policy_error() {
        let mut found = Diagnostics::new();
        found.push(Diagnostic::error("labels.required", "x").of_policy());
        assert_eq!(found.worst(), Some(Class::Policy));
        found.push(Diagnostic::warning("spec.x", "x"));
        assert_eq!(found.worst(), Some(Class::Policy));
        found.push(Diagnostic::error("spec.x", "x"));
        assert_eq!(found.worst(), Some(Class::Spec));
    }
}
