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

/// The maximum number of errors reported for one file.
pub(super) const MAX_ERRORS: usize = 100;

/// The notice that a file has more errors than [`MAX_ERRORS`].
pub(super) fn stopped() -> String {
    format!("more than {MAX_ERRORS} errors; the rest of the file is not checked")
}

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

/// Parses `text`. If it is not TOML, reports its syntax errors and returns `None`.
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
    for diagnostic in syntax_errors(file, text, errors) {
        found.push(diagnostic);
    }
    None
}

/// One diagnostic for each syntax error, up to [`MAX_ERRORS`].
fn syntax_errors(file: &Path, text: &str, errors: Vec<toml::de::Error>) -> Vec<Diagnostic> {
    let mut unquoted = BTreeSet::new();
    let mut duplicates = 0;
    let mut reported: Vec<Diagnostic> = Vec::new();
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let syntax = |message: String| Diagnostic::error("spec.syntax", message);
        let diagnostic = if is_duplicate(&error) {
            duplicates += 1;
            let key = text.get(span.clone()).unwrap_or_default();
            let message = format!("the key `{key}` is written twice");
            // The search parses the file again, so it is made only once.
            let first = (duplicates == 1).then(|| first_written(text, &span));
            let diagnostic = syntax(message).at(file, span, "");
            match first.flatten() {
                Some(first) => diagnostic.at(file, first, "first written here"),
                None => diagnostic,
            }
        } else {
            match unquoted::find(text, span.start) {
                // The parser reports an unquoted word twice: at its start and after it.
                Some(word) if !unquoted.insert(word.span.start) => continue,
                Some(word) => syntax(format!("strings need quotes: {}", word.corrected()))
                    .at(file, word.span, ""),
                None => syntax(error.message().to_owned()).at(file, span, ""),
            }
        };
        if reported.len() == MAX_ERRORS {
            let last = reported.pop().map(|last| last.help(stopped()));
            reported.extend(last);
            break;
        }
        reported.push(diagnostic);
    }
    reported
}

/// True if the error is about a key that is written twice. Only the message of the parser shows it.
fn is_duplicate(error: &toml::de::Error) -> bool {
    error.message() == "duplicate key"
}

/// The place where the key at `span` is written first: the same key of the same table in the text
/// before its line. `None` if the table is not known for certain.
fn first_written(text: &str, span: &Range<usize>) -> Option<Range<usize>> {
    let line = text[..span.start].rfind('\n').map_or(0, |end| end + 1);
    let (before, errors) = DeTable::parse_recoverable(&text[..line]);
    let root = before.get_ref();
    let (table, start) = match text[line..span.start].trim() {
        "" => last_header(root, text).unwrap_or((root, 0)),
        "[" | "[[" => (root, 0),
        // A key of an inline table, or one of several keys with dots.
        _ => return None,
    };
    // An error below the header may hide a later header.
    if errors
        .iter()
        .any(|error| error.span().is_none_or(|span| span.end >= start))
    {
        return None;
    }
    let name = text.get(span.clone())?.trim_matches(['"', '\'']);
    let (key, _) = table.get_key_value(name)?;
    Some(key.span())
}

/// The table of the last header, and the start of that header.
fn last_header<'a, 't>(table: &'a SpecTable<'t>, text: &str) -> Option<(&'a SpecTable<'t>, usize)> {
    let below = table
        .iter()
        .filter_map(|(_, value)| last_header_in(value, text));
    below.max_by_key(|(_, start)| *start)
}

fn last_header_in<'a, 't>(value: &'a Value<'t>, text: &str) -> Option<(&'a SpecTable<'t>, usize)> {
    match value.get_ref() {
        DeValue::Table(table) => {
            let start = value.span().start;
            // Only the span of a table with a header starts with a bracket.
            let own = text[start..].starts_with('[').then_some((table, start));
            let below = last_header(table, text);
            own.into_iter().chain(below).max_by_key(|(_, start)| *start)
        }
        DeValue::Array(array) => {
            let below = array.iter().filter_map(|item| last_header_in(item, text));
            below.max_by_key(|(_, start)| *start)
        }
        _ => None,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> Vec<Diagnostic> {
        syntax_errors(
            Path::new("image.toml"),
            text,
            DeTable::parse_recoverable(text).1,
        )
    }

    /// The message of each error, and the texts from each of its places to the end of the line.
    fn places(text: &str) -> Vec<(String, Vec<(&str, usize)>)> {
        let found = errors(text).into_iter().map(|error| {
            let places = error.labels.iter().map(|place| {
                let line = text[..place.span.start].matches('\n').count() + 1;
                (&text[place.span.clone()], line)
            });
            (error.message.clone(), places.collect())
        });
        found.collect()
    }

    #[test]
    fn the_parser_names_a_duplicate_key_with_these_words() {
        for text in [
            "a = 1\na = 2",
            "a.b = 1\na = 2",
            "a = { b = 1, b = 2 }",
            "a = { b.c = 1, b.c = 2 }",
            "[a]\n[a]",
            "[a]\n[[a]]",
            "[a]\nb = 1\n[a.b]\n[a]",
            "run = { env = { A = \"1\", A = \"2\" } }",
        ] {
            let (_, errors) = DeTable::parse_recoverable(text);
            assert!(errors.iter().any(is_duplicate), "{text}: {errors:?}");
            let found = places(text);
            let is_shown = found
                .iter()
                .any(|(message, _)| message.ends_with("is written twice"));
            assert!(is_shown, "{text}: {found:?}");
            assert!(
                !found.iter().any(|(message, _)| message.contains("quotes")),
                "{text}"
            );
        }
    }

    #[test]
    fn the_first_place_of_a_key_is_in_the_same_table() {
        for (text, first) in [
            ("a = 1\na = 2", Some(1)),
            (
                "version = \"1\"\nbase = { version = \"x\" }\nversion = \"2\"",
                Some(1),
            ),
            (
                "base = { version = \"x\" }\n[t]\nb = 1\n[u]\nb = 1\nb = 2",
                Some(5),
            ),
            ("[t]\na = 1\n[labels]\nx = 1\n[labels]", Some(3)),
            ("labels.a = 1\n[labels]", Some(1)),
            ("[[t]]\na = 1\n[[t]]\nb = 1\na = 1\na = 2", Some(5)),
            ("[t.u]\na = 1\n\"a\" = 2", Some(2)),
            ("a = 0\nrun = { a = 1, a = 2 }", None),
            ("a = 0\nt.a = 1\nt.a = 2", None),
            ("a = 0\n[t]\nb = 1\n[t.a]\n[t.a]", None),
        ] {
            let found = places(text);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            let lines: Vec<usize> = found[0].1.iter().map(|(_, line)| *line).collect();
            assert_eq!(lines.get(1).copied(), first, "{text}: {found:?}");
        }
        // The table that the key is in may be missing, because its header is wrong.
        let found = places("a = 1\n[x y]\na = 2\na = 3");
        let twice = found
            .iter()
            .filter(|(message, _)| message.contains("twice"));
        assert!(
            twice.into_iter().all(|(_, places)| places.len() == 1),
            "{found:?}"
        );
    }

    #[test]
    fn many_duplicate_keys_are_reported_in_a_short_time() {
        let start = std::time::Instant::now();
        let found = errors(&"a=1\n".repeat(20_000));
        assert_eq!(found.len(), MAX_ERRORS);
        assert_eq!(found.last().unwrap().help, Some(stopped()));
        // It takes more than a minute if each error parses the text before it.
        assert!(start.elapsed() < std::time::Duration::from_secs(10));
    }
}
