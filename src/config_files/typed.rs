//! Converts a tree into a type and reports every mistake, not only the first one.
//!
//! serde stops at the first error. So the rejected value is removed from the tree and
//! deserialization starts again, until it succeeds; every field of the types has a default.

use std::ops::Range;

use serde::Deserialize;
use toml::de::DeValue;

use super::document::{MAX_ERRORS, SourceFiles, SpecTable, Value, stopped};
use super::fault::{Fault, FaultKind};
use super::node::Root;
use super::quoted::quoted;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::suggest::closest;

/// Reads `table` as a `T`. Rejected entries are reported in `found` and have default values.
pub fn typed<T>(table: SpecTable<'_>, files: &SourceFiles, found: &mut Diagnostics) -> T
where
    T: Default + for<'de> Deserialize<'de>,
{
    let mut table = table;
    let mut errors = 0;
    let mut last: Option<Diagnostic> = None;
    let mut removed: Vec<Range<usize>> = Vec::new();
    loop {
        let fault = match T::deserialize(Root(&table)) {
            Ok(value) => {
                push(found, last);
                return value;
            }
            Err(fault) => fault,
        };
        let span = fault.span.clone().unwrap_or(0..0);
        let mut path = Vec::new();
        let taken = take(&mut table, &span, &mut path);
        let diagnostic = explain(&fault, &span, &path, taken.as_ref(), files);
        if taken.is_none() {
            push(found, last);
            found.push(diagnostic);
            return T::default();
        }
        // A table that lacks an entry only because its value was rejected is not a second mistake.
        let is_consequence = matches!(fault.kind, FaultKind::Other(_))
            && removed.iter().any(|earlier| holds(&span, earlier));
        removed.push(span);
        if is_consequence {
            continue;
        }
        if errors == MAX_ERRORS {
            push(found, last.map(|last| last.help(stopped())));
            return T::default();
        }
        errors += 1;
        push(found, last.replace(diagnostic));
    }
}

fn push(found: &mut Diagnostics, diagnostic: Option<Diagnostic>) {
    if let Some(diagnostic) = diagnostic {
        found.push(diagnostic);
    }
}

/// Removes the innermost entry that contains `span`. The span of a table with a header does not
/// cover its entries, so every table is searched.
fn take<'t>(
    table: &mut SpecTable<'t>,
    span: &Range<usize>,
    path: &mut Vec<String>,
) -> Option<Value<'t>> {
    let keys: Vec<_> = table.keys().cloned().collect();
    for key in keys {
        let name = key.get_ref().clone();
        path.push(name.clone().into_owned());
        // Test the key before its value: the header `[[runs]]` is the span of the key and also of
        // the first entry.
        if holds(&key.span(), span) {
            return table.remove(&*name);
        }
        let value = table.get_mut(&*name)?;
        if let Some(taken) = take_below(value, span, path) {
            return Some(taken);
        }
        if holds(&value.span(), span) {
            return table.remove(&*name);
        }
        path.pop();
    }
    None
}

fn take_below<'t>(
    value: &mut Value<'t>,
    span: &Range<usize>,
    path: &mut Vec<String>,
) -> Option<Value<'t>> {
    match value.get_mut() {
        DeValue::Table(table) => take(table, span, path),
        DeValue::Array(array) => {
            let mut hit = None;
            for (number, item) in array.iter_mut().enumerate() {
                path.push(number.to_string());
                if let Some(taken) = take_below(item, span, path) {
                    return Some(taken);
                }
                if holds(&item.span(), span) {
                    hit = Some(number);
                    break;
                }
                path.pop();
            }
            let number = hit?;
            let items = std::mem::replace(array, toml::de::DeArray::new())
                .into_iter()
                .enumerate();
            let (mut kept, mut taken) = (toml::de::DeArray::new(), None);
            for (at, item) in items {
                if at == number {
                    taken = Some(item);
                } else {
                    kept.push(item);
                }
            }
            *array = kept;
            taken
        }
        _ => None,
    }
}

fn holds(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end && !outer.is_empty()
}

fn explain(
    fault: &Fault,
    span: &Range<usize>,
    path: &[String],
    value: Option<&Value<'_>>,
    files: &SourceFiles,
) -> Diagnostic {
    let at = |diagnostic: Diagnostic| files.at(diagnostic, span, "");
    let mismatch = || at(Diagnostic::error("spec.value", fault.to_string()));
    match &fault.kind {
        FaultKind::UnknownKey { key, known } => unknown_key(key, known, span, path, files),
        FaultKind::UnknownWord { word, known } => at(unknown_word(word, known)),
        FaultKind::Mismatch { expected, .. } if expected.starts_with("a string") => {
            match value.and_then(as_text) {
                Some(text) => mismatch().help(quotes(&text, path)),
                None => mismatch(),
            }
        }
        FaultKind::Mismatch { .. } | FaultKind::Other(_) => mismatch(),
    }
}

fn unknown_word(word: &str, known: &[&str]) -> Diagnostic {
    let expected: Vec<String> = known.iter().map(|word| quoted(word)).collect();
    let message = format!("{} is not one of {}", quoted(word), expected.join(", "));
    let diagnostic = Diagnostic::error("spec.value", message);
    match closest(word, known.iter().copied()) {
        Some(similar) => diagnostic.help(format!("did you mean {}?", quoted(similar))),
        None => diagnostic,
    }
}

/// The hint for a value that lacks quotes.
fn quotes(text: &str, path: &[String]) -> String {
    let key = path.last().filter(|key| key.parse::<usize>().is_err());
    // A mode of three digits is octal too.
    let octal = key.is_some_and(|key| key == "mode") && text.len() == 3;
    // A bare number most likely means seconds, as in other tools.
    let seconds =
        key.is_some_and(|key| ["interval", "timeout", "start_period"].contains(&key.as_str()));
    let quoted = match () {
        () if octal => quoted(&format!("0{text}")),
        () if seconds => quoted(&format!("{text}s")),
        () => quoted(text),
    };
    match key {
        Some(key) => format!("write {} = {quoted}", bare_or_quoted(key)),
        None => format!("write {quoted}"),
    }
}

fn unknown_key(
    key: &str,
    known: &[&str],
    span: &Range<usize>,
    path: &[String],
    files: &SourceFiles,
) -> Diagnostic {
    let above = &path[..path.len().saturating_sub(1)];
    let above: Vec<&str> = above
        .iter()
        .map(String::as_str)
        .filter(|part| part.parse::<usize>().is_err())
        .collect();
    let place = if above.is_empty() {
        String::new()
    } else {
        format!(" in `{}`", above.join("."))
    };
    let diagnostic = Diagnostic::error("spec.unknown-key", format!("unknown key `{key}`{place}"));
    let help = match closest(key, known.iter().copied()) {
        Some(similar) => format!("did you mean `{similar}`?"),
        None => format!("the keys here are {}", known.join(", ")),
    };
    files.at(diagnostic, span, "").help(help)
}

/// The text of a value that should perhaps be a string, such as `1.20` or `true`.
#[must_use]
pub fn as_text(value: &Value<'_>) -> Option<String> {
    match value.get_ref() {
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(truth) => Some(truth.to_string()),
        DeValue::Datetime(time) => Some(time.to_string()),
        _ => None,
    }
}

/// Writes a TOML key, with quotes if it needs them.
#[must_use]
pub fn bare_or_quoted(key: &str) -> String {
    let bare = !key.is_empty()
        && key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if bare {
        return key.to_owned();
    }
    let text = quoted(key);
    if text.starts_with("\"\"\"") || text.starts_with("'''") {
        // A key is on one line, and in one quote. The escapes of JSON are valid in TOML.
        let text = serde_json::Value::String(key.to_owned()).to_string();
        return text.replace('\u{7f}', "\\u007f");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct ListOfItems {
        items: Vec<Item>,
    }

    #[derive(Deserialize)]
    struct Item {
        #[expect(dead_code, reason = "every item of the test is rejected")]
        target: String,
    }

    /// The rejection of each item has a consequence: the item lacks its target.
    #[test]
    fn consequences_are_not_counted_and_do_not_hide_that_checking_stopped() {
        let file = std::path::Path::new("image.toml");
        for (items, is_stopped) in [(60, false), (100, false), (101, true)] {
            let text = format!("items = [{}]", "{ target = 1 },\n".repeat(items));
            let mut found = Diagnostics::new();
            let kind = super::super::document::SourceKind::Image;
            let table = super::super::document::parse(file, kind, &text, &mut found).unwrap();
            let files = SourceFiles {
                workspace: file.to_owned(),
                image: file.to_owned(),
            };
            let read: ListOfItems = typed(table, &files, &mut found);
            assert!(read.items.is_empty());
            assert_eq!(found.iter().count(), items.min(MAX_ERRORS), "{items}");
            let last = found.iter().last().unwrap();
            assert_eq!(last.help == Some(stopped()), is_stopped, "{items}");
        }
    }

    #[test]
    fn every_key_is_written_on_one_line() {
        for key in [
            "plain-KEY_1",
            "",
            "a.b",
            "a\"b'c\\",
            "two\nlines\u{7f}\t\"",
            "é",
        ] {
            let written = bare_or_quoted(key);
            assert!(!written.contains('\n'), "{written}");
            let table: toml::Table = format!("{written} = 1").parse().unwrap();
            assert_eq!(table.keys().collect::<Vec<_>>(), [key]);
        }
    }
}
