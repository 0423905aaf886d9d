//! The keys `image` of YAML files. The files are read line by line, so that every position is exact
//! and a file with templates of Helm can be read too.

use std::ops::Range;

use super::{Editable, EditablePart, ImageUse, parsed};

/// A key with a scalar value on one line.
struct Entry<'t> {
    /// The column of the key.
    indent: usize,
    key: &'t str,
    /// The value without quotes and comment; empty for a nested mapping.
    value: &'t str,
    /// The position of the value in the file.
    position: Range<usize>,
}

/// The images of a Compose file. A service with `build` is built there, so that its `image` is a
/// result and not a base.
pub(super) fn compose(text: &str) -> Vec<ImageUse> {
    let entries = entries(text);
    let mut found = Vec::new();
    for (n, entry) in entries.iter().enumerate() {
        if entry.key != "image" {
            continue;
        }
        let is_sibling = |other: &&Entry<'_>| other.indent == entry.indent;
        let in_service = |other: &&Entry<'_>| other.indent >= entry.indent;
        let before = entries[..n].iter().rev().take_while(in_service);
        let after = entries[n + 1..].iter().take_while(in_service);
        let mut siblings = before.chain(after).filter(is_sibling);
        if !siblings.any(|other| other.key == "build") {
            found.extend(image(entry));
        }
    }
    found
}

/// The images of the manifests of Kubernetes: of containers, and of volumes.
pub(super) fn kubernetes(text: &str) -> Vec<ImageUse> {
    let entries = entries(text);
    let images = entries.iter().filter(|entry| entry.key == "image");
    images.filter_map(image).collect()
}

fn image(entry: &Entry<'_>) -> Option<ImageUse> {
    if entry.value.is_empty() {
        return None;
    }
    if entry.value.contains("{{") {
        return Some(ImageUse {
            position: entry.position.clone(),
            image: Err("a template determines it".to_owned()),
            editable: None,
        });
    }
    let start = entry.position.start;
    let (value, editable) = with_defaults(entry.value);
    let editable = editable.map(|Editable { position, part }| Editable {
        position: start + position.start..start + position.end,
        part,
    });
    Some(ImageUse {
        position: entry.position.clone(),
        image: value.and_then(|value| parsed(&value)),
        editable,
    })
}

/// Replaces `${NAME:-DEFAULT}` by its default. Also returns the text that can be edited: all of it if
/// there is no variable, or the default of the only variable if that is the whole reference or its
/// tag.
fn with_defaults(text: &str) -> (Result<String, String>, Option<Editable>) {
    let whole = Editable {
        position: 0..text.len(),
        part: EditablePart::Reference,
    };
    let Some(start) = text.find('$') else {
        return (Ok(text.to_owned()), Some(whole));
    };
    let unknown = |name: &str| Err(format!("the variable `{name}` determines it"));
    let mut value = text[..start].to_owned();
    let mut rest = &text[start..];
    let mut edit = None;
    let mut number = 0;
    while let Some(at) = rest.find('$') {
        value.push_str(&rest[..at]);
        let variable = &rest[at + 1..];
        let Some((inner, after)) = variable
            .strip_prefix('{')
            .and_then(|inner| inner.split_once('}'))
        else {
            let end = variable.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            return (unknown(&variable[..end.unwrap_or(variable.len())]), None);
        };
        let name_end = inner.find([':', '-']).unwrap_or(inner.len());
        let (name, default) = inner.split_at(name_end);
        let default = default
            .strip_prefix(":-")
            .or_else(|| default.strip_prefix('-'));
        let Some(default) = default.filter(|default| !default.contains('$')) else {
            return (unknown(name), None);
        };
        number += 1;
        let part = match value.as_str() {
            "" => Some(EditablePart::Reference),
            before if before.ends_with(':') && !default.contains('/') => Some(EditablePart::Tag),
            _ => None,
        };
        let part = part.filter(|_| number == 1 && after.is_empty());
        let end = text.len() - after.len() - 1;
        edit = part.map(|part| Editable {
            position: end - default.len()..end,
            part,
        });
        value.push_str(default);
        rest = after;
    }
    value.push_str(rest);
    (Ok(value), edit)
}

/// The keys of a file with their values. Text blocks and comments are skipped.
fn entries(text: &str) -> Vec<Entry<'_>> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    let mut block: Option<usize> = None;
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let start = offset;
        offset += line.len();
        let content = line.trim_end();
        let trimmed = content.trim_start();
        let indent = content.len() - trimmed.len();
        if trimmed.is_empty() {
            continue;
        }
        if block.is_some_and(|parent| indent > parent) {
            continue;
        }
        block = None;
        if trimmed.starts_with('#') {
            continue;
        }
        for entry in keys(content, start) {
            if entry.value.starts_with(['|', '>']) {
                block = Some(line_indent(content));
            }
            entries.push(entry);
        }
    }
    entries
}

/// The column of the first key of a line, without the dashes of a list.
fn line_indent(content: &str) -> usize {
    content.len() - content.trim_start_matches([' ', '-']).len()
}

/// The keys of a line: one, or several in a flow mapping such as `{image: a, name: b}`.
fn keys(content: &str, start: usize) -> Vec<Entry<'_>> {
    let mut found = Vec::new();
    let mut at = line_indent(content);
    loop {
        let rest = &content[at..];
        let skipped = rest.len() - rest.trim_start_matches([' ', '{', '[', ',']).len();
        at += skipped;
        let rest = &content[at..];
        let Some((key, after)) = key(rest) else {
            return found;
        };
        let value_at = content.len() - after.trim_start().len();
        if content[value_at..].starts_with(['{', '[']) && !content[value_at..].starts_with("{{") {
            found.push(Entry {
                indent: at,
                key,
                value: "",
                position: start + value_at..start + value_at,
            });
            at = value_at;
            continue;
        }
        let is_flow = skipped > 0 || !found.is_empty();
        let range = value(content, value_at, is_flow);
        found.push(Entry {
            indent: at,
            key,
            value: &content[range.clone()],
            position: start + range.start..start + range.end,
        });
        let Some(next) = content[range.end..].find(',').filter(|_| is_flow) else {
            return found;
        };
        at = range.end + next;
    }
}

/// The key at the start of a text, with the text after its colon.
fn key(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''));
    let (key, rest) = if let Some(quote) = quote {
        let (key, rest) = text[1..].split_once(quote)?;
        (key, rest.trim_start().strip_prefix(':')?)
    } else {
        let (key, rest) = text.split_once(':')?;
        (key.trim_end(), rest)
    };
    let is_key = key
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
    (is_key && (rest.is_empty() || rest.starts_with([' ', '\t', '"', '\'']))).then_some((key, rest))
}

/// The position of a scalar in a line, without its quotes, its anchor and a comment.
fn value(content: &str, at: usize, is_flow: bool) -> Range<usize> {
    let mut at = at;
    if content[at..].starts_with(['&', '!']) {
        let rest = &content[at..];
        let end = rest.find(' ').unwrap_or(rest.len());
        at += rest.len() - rest[end..].trim_start().len();
    }
    let rest = &content[at..];
    if let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        let length = rest[1..].find(quote).unwrap_or(rest.len() - 1);
        return at + 1..at + 1 + length;
    }
    let mut end = rest.find(" #").unwrap_or(rest.len());
    if rest.starts_with('#') {
        end = 0;
    }
    if is_flow {
        end = rest[..end].find([',', '}', ']']).map_or(end, |at| {
            // The braces of a variable belong to the value.
            if rest[..at].contains("${") {
                rest.find('}').map_or(at, |brace| brace + 1)
            } else {
                at
            }
        });
    }
    at..at + rest[..end].trim_end().len()
}
