//! Checks the tables whose keys the user chooses: `[labels]`, `[env]` and `[vars]`.
//!
//! Their values are checked before serde reads them, because the message names the key and shows
//! the corrected line.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::de::DeValue;

use super::document::{SourceFiles, SpecTable, Value};
use super::quoted::quoted;
use super::typed::{as_text, bare_or_quoted};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::suggest::closest;

/// Checks `[labels]`, `[env]` and `[vars]` of a file; reports and removes wrong entries.
pub fn check(table: &mut SpecTable<'_>, files: &SourceFiles, found: &mut Diagnostics) {
    for name in ["labels", "env", "vars"] {
        let Some(DeValue::Table(entries)) = table.get_mut(name).map(toml::Spanned::get_mut) else {
            continue;
        };
        // Removing an entry moves all later ones, so the accepted ones are collected instead.
        for (key, value) in std::mem::take(entries) {
            match wrong(name, key.get_ref(), &key.span(), &value, files) {
                Some(diagnostic) => found.push(diagnostic),
                None => drop(entries.insert(key, value)),
            }
        }
        if name == "env" {
            let keys: BTreeSet<&str> = entries.keys().map(|key| &**key.get_ref()).collect();
            for (key, value) in entries.iter() {
                if let Some(warning) = literal(key.get_ref(), value, &keys, files) {
                    found.push(warning);
                }
            }
        }
    }
}

fn wrong(
    table: &str,
    key: &str,
    at: &Range<usize>,
    value: &Value<'_>,
    files: &SourceFiles,
) -> Option<Diagnostic> {
    if key.is_empty() {
        let empty = Diagnostic::error(
            "spec.empty-key",
            format!("a key of [{table}] cannot be empty"),
        );
        return Some(files.at(empty, at, ""));
    }
    if table == "env"
        && let Some(diagnostic) = wrong_env(key, at, value, files)
    {
        return Some(diagnostic);
    }
    match value.get_ref() {
        DeValue::String(_) => None,
        DeValue::Boolean(false) if table != "vars" => None,
        DeValue::Table(nested) if table == "env" && !is_dotted(nested) => None,
        DeValue::Table(nested) => Some(nested_table(table, key, at, nested, files)),
        _ => Some(not_a_string(table, key, value, files)),
    }
}

fn nested_table(
    table: &str,
    key: &str,
    at: &Range<usize>,
    nested: &SpecTable<'_>,
    files: &SourceFiles,
) -> Diagnostic {
    let (path, value) = first_leaf(key, nested);
    let text = match value.map(|value| (value.get_ref(), as_text(value))) {
        Some((DeValue::String(text), _)) => quoted(text),
        Some((_, Some(text))) => quoted(&text),
        _ => "…".to_owned(),
    };
    let accepted = if table == "env" {
        "strings and { prepend, append }"
    } else {
        "strings"
    };
    let nested = Diagnostic::error(
        "spec.nested-table",
        format!("`{key}` is a table, but [{table}] accepts only {accepted}"),
    );
    files
        .at(nested, at, "")
        .help(format!("write {} = {text}", quoted(&path)))
}

/// True if a table in `[env]` comes from a dotted key, such as `spring.profile = "x"`: it contains
/// no key that is, or resembles, `prepend` or `append`.
fn is_dotted(nested: &SpecTable<'_>) -> bool {
    let mut keys = nested.keys().map(toml::Spanned::get_ref);
    !nested.is_empty() && !keys.any(|key| closest(key, ["prepend", "append"]).is_some())
}

fn first_leaf<'a, 't>(path: &str, table: &'a SpecTable<'t>) -> (String, Option<&'a Value<'t>>) {
    match table.iter().next() {
        None => (path.to_owned(), None),
        Some((key, value)) => {
            let path = format!("{path}.{}", key.get_ref());
            match value.get_ref() {
                DeValue::Table(inner) => first_leaf(&path, inner),
                _ => (path, Some(value)),
            }
        }
    }
}

fn not_a_string(table: &str, key: &str, value: &Value<'_>, files: &SourceFiles) -> Diagnostic {
    let kind = value.get_ref().type_str();
    let expected = if table == "vars" {
        "a string"
    } else {
        "a string or `false`"
    };
    let message = format!("the value of `{key}` is of type {kind}; [{table}] takes {expected}");
    let diagnostic = files.at(
        Diagnostic::error("spec.not-a-string", message),
        &value.span(),
        "",
    );
    match as_text(value) {
        Some(text) => diagnostic.help(format!("write {} = {}", bare_or_quoted(key), quoted(&text))),
        None => diagnostic,
    }
}

fn wrong_env(
    key: &str,
    at: &Range<usize>,
    value: &Value<'_>,
    files: &SourceFiles,
) -> Option<Diagnostic> {
    if key.contains('=') || key.contains(char::is_whitespace) {
        let message = format!("`{key}` is not a variable name: it contains `=` or white space");
        return Some(files.at(Diagnostic::error("env.key", message), at, ""));
    }
    let DeValue::String(text) = value.get_ref() else {
        return None;
    };
    let mention = own_name(key, text)?;
    let (before, after) = text.split_at(mention.start);
    let after = &after[mention.len()..];
    let form = match (before, after) {
        (_, "") => format!("{{ prepend = {} }}", quoted(before)),
        ("", _) => format!("{{ append = {} }}", quoted(after)),
        _ => format!(
            "{{ prepend = {}, append = {} }}",
            quoted(before),
            quoted(after)
        ),
    };
    let message = format!("the value of `{key}` refers to `{key}` itself, but `$` is literal here");
    let diagnostic = Diagnostic::error("env.own-name", message);
    let help = format!(
        "to extend the base's value, write {} = {form}",
        bare_or_quoted(key)
    );
    Some(files.at(diagnostic, &value.span(), "").help(help))
}

/// Returns a warning if a value seems to refer to a variable, since golden expands none. In
/// `prepend` and `append` every variable counts; in a whole value only PATH and the keys of the
/// same table, since the program that reads the value may expand the others.
fn literal(
    key: &str,
    value: &Value<'_>,
    keys: &BTreeSet<&str>,
    files: &SourceFiles,
) -> Option<Diagnostic> {
    let (at, name) = match value.get_ref() {
        DeValue::String(text) => {
            let name = mentions(text)
                .into_iter()
                .find(|name| *name == "PATH" || keys.contains(name))?;
            (value.span(), name)
        }
        DeValue::Table(extension) => {
            extension
                .iter()
                .find_map(|(_, part)| match part.get_ref() {
                    DeValue::String(text) => Some((part.span(), *mentions(text).first()?)),
                    _ => None,
                })?
        }
        _ => return None,
    };
    let message = format!("`${name}` is not expanded in the value of `{key}`: `$` is literal here");
    let help =
        format!("write the value that `${name}` has in the base, or use {{{{ vars.NAME }}}}");
    Some(
        files
            .at(Diagnostic::warning("env.literal", message), &at, "")
            .help(help),
    )
}

/// The variables that a shell or a Dockerfile would expand in a text: `$NAME`, `${NAME}`,
/// `${NAME:-x}`.
fn mentions(text: &str) -> Vec<&str> {
    let name_length = |rest: &'_ str| {
        rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(rest.len())
    };
    let dollars = text.match_indices('$').map(|(at, _)| &text[at + 1..]);
    let rests = dollars.map(|rest| rest.strip_prefix('{').unwrap_or(rest));
    let names = rests.map(|rest| &rest[..name_length(rest)]);
    names
        .filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'))
        .collect()
}

/// The position in `text` of a reference to the variable `key`: `$KEY` or `${KEY}`.
fn own_name(key: &str, text: &str) -> Option<Range<usize>> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices('$').find_map(|(at, _)| {
        let rest = &text[at + 1..];
        if let Some(rest) = rest.strip_prefix('{') {
            let after = rest.strip_prefix(key)?;
            return after.starts_with('}').then(|| at..at + key.len() + 3);
        }
        let after = rest.strip_prefix(key)?;
        (!after.starts_with(word)).then(|| at..at + key.len() + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found_in_a_text() {
        for (text, names) in [
            ("$JAVA_HOME/bin:", &["JAVA_HOME"][..]),
            ("${A}:${B:-x}$c", &["A", "B", "c"]),
            ("$$ $1 $ ${ cost: 5$", &[]),
            ("", &[]),
        ] {
            assert_eq!(mentions(text), names, "{text}");
        }
    }

    #[test]
    fn a_reference_of_a_variable_to_itself_is_found() {
        for (key, text, expected) in [
            ("PATH", "/opt/bin:$PATH", Some(9..14)),
            ("PATH", "${PATH}:/opt/bin", Some(0..7)),
            ("PATH", "$PATHS", None),
            ("PATH", "$HOME/bin", None),
            ("A", "$", None),
            ("A", "$$A", Some(1..3)),
        ] {
            assert_eq!(own_name(key, text), expected, "{text}");
        }
    }
}
