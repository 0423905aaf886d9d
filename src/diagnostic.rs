//! What is wrong in the user's files: collected, never thrown, each with its place.
//!
//! A [`Diagnostic`] is data; text, JSON, GitHub annotations and SARIF are four views of it (`report`).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How bad a finding is. The order is from mild to bad.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Told, and the run goes on.
    Warning,
    /// The run stops before anything is touched.
    Error,
}

/// Which promise was broken; it decides the exit code (3-cli).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// The files do not parse, or say something impossible: exit 2.
    Spec,
    /// The files are well-formed but break the policy: exit 3.
    Policy,
}

/// A place in a file, with what to say there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The file, relative to the workspace, as in [`SourceMap`].
    pub file: PathBuf,
    /// Bytes of the file; empty at the end of a file where something is missing.
    pub span: Range<usize>,
    /// What is said under the marked text; may be empty.
    pub text: String,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The rule's id, stable, such as `spec.unknown-key` or `labels.required`.
    pub rule: Cow<'static, str>,
    /// Error or warning.
    pub severity: Severity,
    /// Spec or policy.
    pub class: Class,
    /// What is wrong: one sentence without a full stop.
    pub message: String,
    /// The image that the finding is about, when it is about one.
    pub image: Option<String>,
    /// Places; the first is the main one, others are context. Empty for what has no place in a file.
    pub labels: Vec<Label>,
    /// What to do next.
    pub help: Option<String>,
    /// Parts of files that must not be shown, in this finding or in any other: what looks like a credential.
    pub hidden: Vec<(PathBuf, Range<usize>)>,
}

impl Diagnostic {
    /// An error of the spec, without a place yet.
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

    /// A warning about the spec, without a place yet.
    pub fn warning(rule: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(rule, message)
        }
    }

    /// The same finding as one of policy.
    #[must_use]
    pub fn of_policy(mut self) -> Self {
        self.class = Class::Policy;
        self
    }

    /// Adds a place; the first that is added is the main one.
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

    /// Names the image that this is about.
    #[must_use]
    pub fn about(mut self, image: impl Into<String>) -> Self {
        self.image = Some(image.into());
        self
    }

    /// Names bytes of a file that no report may show.
    #[must_use]
    pub fn hiding(mut self, file: impl Into<PathBuf>, span: Range<usize>) -> Self {
        self.hidden.push((file.into(), span));
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Findings, in the order that they are shown in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Adds all of another collection.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Sorts by file, place, rule and message and drops what is said twice, so that output does not depend on the order of work.
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
        self
    }

    /// Whether there is none at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an error is among them.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|d| d.severity == Severity::Error)
    }

    /// The class that decides the exit code: a broken spec before a broken policy. None without errors.
    #[must_use]
    pub fn worst(&self) -> Option<Class> {
        self.0
            .iter()
            .filter(|d| d.severity == Severity::Error)
            .map(|d| d.class)
            .min()
    }

    /// All of them.
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

/// A value together with what was found on the way; no value when what was found made one impossible.
#[derive(Debug, Clone)]
#[must_use]
pub struct Checked<T> {
    /// The value, as far as it could be made.
    pub value: Option<T>,
    /// What was found.
    pub diagnostics: Diagnostics,
}

impl<T> Checked<T> {
    /// Hands the findings to `into` and returns the value.
    pub fn drain(self, into: &mut Diagnostics) -> Option<T> {
        into.extend(self.diagnostics);
        self.value
    }
}

/// Where the keys of the user's files stand, for those who judge values long after parsing. A path names keys from
/// the top of the file; items of an array go by their decimal index: `["run", "0", "script"]`.
pub trait Places {
    /// The bytes of a key, or of a table's header. None when the file has no such key.
    fn key(&self, file: &Path, path: &[&str]) -> Option<Range<usize>>;
    /// The bytes of a key's value. None when the file has no such key.
    fn value(&self, file: &Path, path: &[&str]) -> Option<Range<usize>>;
}

/// No file is at hand, so nothing has a place.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nowhere;

impl Places for Nowhere {
    fn key(&self, _: &Path, _: &[&str]) -> Option<Range<usize>> {
        None
    }

    fn value(&self, _: &Path, _: &[&str]) -> Option<Range<usize>> {
        None
    }
}

/// The text of every file that a diagnostic can point into, by its path relative to the workspace.
#[derive(Debug, Clone, Default)]
pub struct SourceMap {
    texts: BTreeMap<PathBuf, Arc<str>>,
    prefix: PathBuf,
}

/// A place for people: both counted from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

impl SourceMap {
    /// Adds a file.
    pub fn insert(&mut self, file: impl Into<PathBuf>, text: impl Into<Arc<str>>) {
        self.texts.insert(file.into(), text.into());
    }

    /// Says how to get from where people are to the workspace, so that they are shown paths that they can open.
    pub fn set_prefix(&mut self, prefix: impl Into<PathBuf>) {
        self.prefix = prefix.into();
    }

    /// A file's path as people are shown it.
    #[must_use]
    pub fn shown(&self, file: &Path) -> PathBuf {
        self.prefix.join(file)
    }

    /// The text of a file.
    #[must_use]
    pub fn text(&self, file: &Path) -> Option<&str> {
        self.texts.get(file).map(|text| &**text)
    }

    /// Line and column of byte `offset` of `file`.
    #[must_use]
    pub fn position(&self, file: &Path, offset: usize) -> Option<Position> {
        let text = self.text(file)?;
        let mut end = offset.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &text[..end];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Some(Position {
            line: before.bytes().filter(|b| *b == b'\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
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
    fn a_broken_spec_outranks_a_broken_policy() {
        let mut found = Diagnostics::new();
        found.push(Diagnostic::error("labels.required", "x").of_policy());
        assert_eq!(found.worst(), Some(Class::Policy));
        found.push(Diagnostic::warning("spec.x", "x"));
        assert_eq!(found.worst(), Some(Class::Policy));
        found.push(Diagnostic::error("spec.x", "x"));
        assert_eq!(found.worst(), Some(Class::Spec));
    }
}
