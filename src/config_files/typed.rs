//! Converts a tree into a type and reports every mistake, not only the first one.
//!
//! serde stops at the first error. So the rejected value is removed from the tree and
//! deserialization starts again, until it succeeds; every field of the types has a default.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::document::{SourceFiles, SpecTable, Value};
use super::quoted::quoted;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::suggest::closest;

/// The maximum number of errors reported for one file.
const MAX_ERRORS: usize = 100;

/// Reads `table` as a `T`. Rejected entries are reported in `found` and have default values.
pub fn typed<T>(table: SpecTable<'_>, files: &SourceFiles, found: &mut Diagnostics) -> T
where
    T: Default + for<'de> Deserialize<'de>,
{
    let mut table = table;
    let mut errors = 0;
    let mut last: Option<Diagnostic> = None;
    loop {
        let root: Spanned<DeTable<'_>> = Spanned::new(0..0, table.clone());
        let error = match T::deserialize(Deserializer::from(root)) {
            Ok(value) => {
                push(found, last);
                return value;
            }
            Err(error) => error,
        };
        if errors == MAX_ERRORS {
            let more =
                format!("more than {MAX_ERRORS} errors; the rest of the file is not checked");
            push(found, last.map(|last| last.help(more)));
            return T::default();
        }
        errors += 1;
        push(found, last.take());
        let span = error.span().unwrap_or(0..0);
        let mut path = Vec::new();
        let taken = take(&mut table, &span, &mut path);
        let diagnostic = explain(error.message(), &span, &path, taken.as_ref(), files);
        if taken.is_none() {
            found.push(diagnostic);
            return T::default();
        }
        last = Some(diagnostic);
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
    message: &str,
    span: &Range<usize>,
    path: &[String],
    value: Option<&Value<'_>>,
    files: &SourceFiles,
) -> Diagnostic {
    if let Some((key, known)) = unknown(message) {
        return unknown_key(key, &known, span, path, files);
    }
    if let Some((word, known)) = words_after(message, "unknown variant `") {
        let expected: Vec<String> = known.iter().map(|word| quoted(word)).collect();
        let message = format!("{} is not one of {}", quoted(word), expected.join(", "));
        let diagnostic = files.at(Diagnostic::error("spec.value", message), span, "");
        return match closest(word, known) {
            Some(similar) => diagnostic.help(format!("did you mean {}?", quoted(similar))),
            None => diagnostic,
        };
    }
    let key = path.last().filter(|key| key.parse::<usize>().is_err());
    let diagnostic = Diagnostic::error("spec.value", in_toml(message));
    let diagnostic = files.at(diagnostic, span, "");
    match value.and_then(as_text) {
        Some(text) if message.contains("expected a string") => {
            // A mode of three digits is octal too.
            let octal = key.is_some_and(|key| key == "mode") && text.len() == 3;
            // A bare number most likely means seconds, as in other tools.
            let seconds = key
                .is_some_and(|key| ["interval", "timeout", "start_period"].contains(&key.as_str()));
            let quoted = match () {
                () if octal => quoted(&format!("0{text}")),
                () if seconds => quoted(&format!("{text}s")),
                () => quoted(&text),
            };
            diagnostic.help(match key {
                Some(key) => format!("write {} = {quoted}", bare_or_quoted(key)),
                None => format!("write {quoted}"),
            })
        }
        _ => diagnostic,
    }
}

/// Replaces serde's names of types in a message with TOML's names.
fn in_toml(message: &str) -> String {
    // The message for a value that should be one of several words.
    if message == "wanted string or table" {
        return "invalid type, expected a string".to_owned();
    }
    let Some((found, expected)) = message.split_once(", expected ") else {
        return message.to_owned();
    };
    let found = found
        .replace("sequence", "list")
        .replace("map", "table")
        .replace("floating point", "float");
    let expected = match expected {
        "a map" => "a table",
        "a sequence" => "a list",
        "u16" => "a number from 0 to 65535",
        "u32" => "a number from 0 to 4294967295",
        structure if structure.starts_with("struct ") => "a table",
        other => other,
    };
    format!("{found}, expected {expected}")
}

/// The unknown key and the known keys in serde's message about an unknown field.
fn unknown(message: &str) -> Option<(&str, Vec<&str>)> {
    words_after(message, "unknown field `")
}

/// The unknown word and the known words in a message that begins with `start`.
fn words_after<'m>(message: &'m str, start: &str) -> Option<(&'m str, Vec<&'m str>)> {
    let rest = message.strip_prefix(start)?;
    let (key, rest) = rest.split_once("`, ")?;
    let known = rest.split('`').skip(1).step_by(2).collect();
    Some((key, known))
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
    if bare { key.to_owned() } else { quoted(key) }
}
