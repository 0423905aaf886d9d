//! Parses a file into a tree of values with their spans.
//!
//! The trees of golden.toml and of an image.toml are merged, so a span must also identify its file.
//! Spans of golden.toml are shifted by `WORKSPACE_OFFSET`, which is larger than any image file.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::unquoted;
use crate::diagnostic::{Diagnostic, Diagnostics};

/// The largest file that is read, in bytes. Specs are written by hand; a longer one is a mistake.
pub const MAX_BYTES: usize = 1 << 20;

/// The message about a string that contains NUL.
pub const NUL: &str = "no text may contain the character NUL";

/// The offset that is added to the spans of golden.toml.
const WORKSPACE_OFFSET: usize = 1 << 24;

/// A table with spans. It borrows from the text of its file.
pub type SpecTable<'t> = DeTable<'t>;
/// A value with its span.
pub type Value<'t> = Spanned<DeValue<'t>>;

/// The two files that a value of an image can come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFiles {
    /// golden.toml, relative to the workspace.
    pub workspace: PathBuf,
    /// image.toml, relative to the workspace.
    pub image: PathBuf,
}

impl SourceFiles {
    /// The file that a span belongs to.
    #[must_use]
    pub fn file(&self, span: &Range<usize>) -> &Path {
        if span.start >= WORKSPACE_OFFSET {
            &self.workspace
        } else {
            &self.image
        }
    }

    /// The span within its file.
    #[must_use]
    pub fn local(span: &Range<usize>) -> Range<usize> {
        let local = |at: usize| {
            if span.start >= WORKSPACE_OFFSET {
                at.saturating_sub(WORKSPACE_OFFSET)
            } else {
                at
            }
        };
        local(span.start)..local(span.end)
    }

    /// Adds a location to a diagnostic: `span`, in the file that it belongs to.
    #[must_use]
    pub fn at(
        &self,
        diagnostic: Diagnostic,
        span: &Range<usize>,
        text: impl Into<String>,
    ) -> Diagnostic {
        diagnostic.at(self.file(span), Self::local(span), text)
    }
}

/// The kind of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceKind {
    /// golden.toml.
    Workspace,
    /// image.toml.
    Image,
}

/// Parses `text`. If it is not TOML, reports every syntax error and returns `None`.
pub fn parse<'t>(
    file: &Path,
    kind: SourceKind,
    text: &'t str,
    found: &mut Diagnostics,
) -> Option<SpecTable<'t>> {
    if text.len() > MAX_BYTES {
        let size = text.len() / (1 << 20);
        found.push(
            Diagnostic::error(
                "spec.too-long",
                format!("the file has {size} MiB; the limit is 1 MiB"),
            )
            .at(file, 0..0, "")
            .help("put large content into a separate file and name that file in `source`"),
        );
        return None;
    }
    let (root, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        let mut table = root.into_inner();
        if kind == SourceKind::Workspace {
            table = shifted(table);
        }
        let files = SourceFiles {
            workspace: file.to_owned(),
            image: file.to_owned(),
        };
        refuse_nul(&table, &files, found);
        return Some(table);
    }
    let mut unquoted = BTreeSet::new();
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        match unquoted::find(text, span.start) {
            // The parser reports an unquoted word twice: at its start and after it.
            Some(word) if !unquoted.insert(word.span.start) => {}
            Some(word) => {
                let message = format!("strings need quotes: {}", word.corrected());
                found.push(Diagnostic::error("spec.syntax", message).at(file, word.span, ""));
            }
            None if error.message() == "duplicate key" => {
                found.push(duplicate(file, text, span));
            }
            None => {
                found.push(
                    Diagnostic::error("spec.syntax", error.message().to_owned()).at(file, span, ""),
                );
            }
        }
    }
    None
}

/// The diagnostic about a key that is written twice. The first one is the same key in a shorter text
/// that is valid up to the second one.
fn duplicate(file: &Path, text: &str, span: Range<usize>) -> Diagnostic {
    let key = text.get(span.clone()).unwrap_or_default();
    let message = format!("the key `{key}` is written twice");
    let diagnostic = Diagnostic::error("spec.syntax", message).at(file, span.clone(), "");
    let line = text[..span.start].rfind('\n').map_or(0, |end| end + 1);
    let (before, _) = DeTable::parse_recoverable(&text[..line]);
    match last_key(before.get_ref(), key.trim_matches(['"', '\''])) {
        Some(first) => diagnostic.at(file, first, "first written here"),
        None => diagnostic,
    }
}

/// The span of the last key with this name, at any depth.
fn last_key(table: &SpecTable<'_>, name: &str) -> Option<Range<usize>> {
    let mut last: Option<Range<usize>> = None;
    let mut add = |span: Range<usize>| {
        if last.as_ref().is_none_or(|last| last.start < span.start) {
            last = Some(span);
        }
    };
    for (key, value) in table {
        if key.get_ref() == name {
            add(key.span());
        }
        each_table(value, &mut |table| {
            if let Some((key, _)) = table.get_key_value(name) {
                add(key.span());
            }
        });
    }
    last
}

fn shifted_span(span: &Range<usize>) -> Range<usize> {
    span.start + WORKSPACE_OFFSET..span.end + WORKSPACE_OFFSET
}

fn shifted(table: SpecTable<'_>) -> SpecTable<'_> {
    table
        .into_iter()
        .map(|(key, value)| {
            (
                Spanned::new(shifted_span(&key.span()), key.into_inner()),
                shifted_value(value),
            )
        })
        .collect()
}

fn shifted_value(value: Value<'_>) -> Value<'_> {
    let span = shifted_span(&value.span());
    let inner = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(shifted(table)),
        DeValue::Array(array) => DeValue::Array(array.into_iter().map(shifted_value).collect()),
        other => other,
    };
    Spanned::new(span, inner)
}

/// A string value with the given span, for values that no file contains literally.
#[must_use]
pub fn string(span: Range<usize>, text: String) -> Value<'static> {
    Spanned::new(span, DeValue::String(Cow::Owned(text)))
}

fn refuse_nul(table: &SpecTable<'_>, files: &SourceFiles, found: &mut Diagnostics) {
    let nul_at = |span: &Range<usize>| files.at(Diagnostic::error("spec.nul", NUL), span, "");
    for (key, value) in table {
        if key.get_ref().contains('\0') {
            found.push(nul_at(&key.span()));
        }
        each_string(value, &mut |text, span| {
            if text.contains('\0') {
                found.push(nul_at(span));
            }
        });
        each_table(value, &mut |table| refuse_nul_keys(table, files, found));
    }
}

fn refuse_nul_keys(table: &SpecTable<'_>, files: &SourceFiles, found: &mut Diagnostics) {
    for (key, _) in table.iter().filter(|(key, _)| key.get_ref().contains('\0')) {
        let nul = Diagnostic::error("spec.nul", "no key may contain the character NUL");
        found.push(files.at(nul, &key.span(), ""));
    }
}

/// Calls `see` for every string in `value`, at any depth.
pub fn each_string(value: &Value<'_>, see: &mut impl FnMut(&str, &Range<usize>)) {
    match value.get_ref() {
        DeValue::String(text) => see(text, &value.span()),
        DeValue::Array(array) => array.iter().for_each(|value| each_string(value, see)),
        DeValue::Table(table) => table.iter().for_each(|(_, value)| each_string(value, see)),
        _ => {}
    }
}

fn each_table(value: &Value<'_>, see: &mut impl FnMut(&SpecTable<'_>)) {
    match value.get_ref() {
        DeValue::Array(array) => array.iter().for_each(|value| each_table(value, see)),
        DeValue::Table(table) => {
            see(table);
            table.iter().for_each(|(_, value)| each_table(value, see));
        }
        _ => {}
    }
}

/// Returns the span of the key and the value at `path`; a path names an array item by its index.
#[must_use]
pub fn entry<'a, 't>(
    table: &'a SpecTable<'t>,
    path: &[&str],
) -> Option<(Range<usize>, &'a Value<'t>)> {
    let (first, rest) = path.split_first()?;
    let (key, value) = table.get_key_value(*first)?;
    below(key.span(), value, rest)
}

fn below<'a, 't>(
    key: Range<usize>,
    value: &'a Value<'t>,
    path: &[&str],
) -> Option<(Range<usize>, &'a Value<'t>)> {
    let Some((first, rest)) = path.split_first() else {
        return Some((key, value));
    };
    match value.get_ref() {
        DeValue::Table(table) => entry(table, path),
        DeValue::Array(array) => {
            let item = array.get(first.parse::<usize>().ok()?)?;
            below(item.span(), item, rest)
        }
        _ => None,
    }
}
