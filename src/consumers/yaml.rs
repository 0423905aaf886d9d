//! The keys `image` of YAML files, also in flow style and in JSON. The files are read line by line, so
//! that every position is exact and a file with templates of Helm can be read too.

use std::ops::Range;

use super::{EditablePart, EditableText, ImageUse, parsed};

/// The longest variable or template in a flow, in bytes. Each start without an end costs a search of
/// this length.
const LONGEST_VARIABLE: usize = 4_096;

/// A key with a scalar value on one line.
struct ScalarEntry<'t> {
    /// The column of the key. In a flow, the depth counts instead.
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
    // The mappings that are open, by the columns of their keys.
    let mut open: Vec<(usize, usize)> = Vec::new();
    let mut is_built: Vec<bool> = Vec::new();
    let mut found = Vec::new();
    for entry in &entries {
        while open
            .last()
            .is_some_and(|(indent, _)| *indent > entry.indent)
        {
            open.pop();
        }
        let mapping = match open.last() {
            Some((indent, mapping)) if *indent == entry.indent => *mapping,
            _ => {
                open.push((entry.indent, is_built.len()));
                is_built.push(false);
                is_built.len() - 1
            }
        };
        match entry.key {
            "build" => is_built[mapping] = true,
            "image" => found.push((mapping, entry)),
            _ => {}
        }
    }
    let found = found.into_iter().filter(|(mapping, _)| !is_built[*mapping]);
    found.filter_map(|(_, entry)| image(entry)).collect()
}

/// The images of Kubernetes manifests: of containers, and the `reference` of image volumes.
pub(super) fn kubernetes(text: &str) -> Vec<ImageUse> {
    let mut found = Vec::new();
    // The columns of the keys `image` with a nested mapping that has no `reference` so far.
    let mut open: Vec<usize> = Vec::new();
    for entry in entries(text) {
        while open.last().is_some_and(|indent| *indent >= entry.indent) {
            open.pop();
        }
        match entry.key {
            "image" => {
                found.extend(image(&entry));
                if entry.value.is_empty() {
                    open.push(entry.indent);
                }
            }
            "reference" if !open.is_empty() => {
                found.extend(image(&entry));
                open.clear();
            }
            _ => {}
        }
    }
    found
}

fn image(entry: &ScalarEntry<'_>) -> Option<ImageUse> {
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
    let editable = editable.map(|EditableText { position, part }| EditableText {
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
fn with_defaults(text: &str) -> (Result<String, String>, Option<EditableText>) {
    let whole = EditableText {
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
        edit = part.map(|part| EditableText {
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
fn entries(text: &str) -> Vec<ScalarEntry<'_>> {
    let mut entries: Vec<ScalarEntry<'_>> = Vec::new();
    let mut block: Option<usize> = None;
    let mut flow = Flow::default();
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
        // An item of a list in block style ends a flow that a template leaves open.
        if flow.depth > 0 && !trimmed.starts_with("- ") && trimmed != "---" {
            flow.add(content, indent, start, &mut entries);
            continue;
        }
        flow.depth = 0;
        block = add_line(content, start, &mut flow, &mut entries);
    }
    entries
}

/// Adds the key of a line in block style, or the keys of the flow that begins on it. Returns the
/// column that ends the text block below the line, if it begins one.
fn add_line<'t>(
    content: &'t str,
    start: usize,
    flow: &mut Flow,
    entries: &mut Vec<ScalarEntry<'t>>,
) -> Option<usize> {
    let at = line_indent(content);
    let Some((key, after)) = key(&content[at..]) else {
        flow.base = at;
        if is_flow(&content[at..]) {
            flow.add(content, at, start, entries);
        }
        let is_item = content[..at].ends_with("- ");
        let is_block = is_item && content[scalar(content, at)].starts_with(['|', '>']);
        return is_block.then(|| content[..at].trim_end().len() - 1);
    };
    let value_at = content.len() - after.trim_start().len();
    let range = if is_flow(&content[value_at..]) {
        value_at..value_at
    } else {
        scalar(content, value_at)
    };
    let value = &content[range.clone()];
    entries.push(ScalarEntry {
        indent: at,
        key,
        value,
        position: start + range.start..start + range.end,
    });
    if is_flow(&content[value_at..]) {
        flow.base = at;
        flow.add(content, value_at, start, entries);
    }
    value.starts_with(['|', '>']).then_some(at)
}

/// True if a mapping such as `{image: a}` or a list such as `[a]` begins a text. `{{` begins a
/// template.
fn is_flow(text: &str) -> bool {
    text.starts_with(['{', '[']) && !text.starts_with("{{")
}

/// The column of the first key of a line, without the dashes of a list.
fn line_indent(content: &str) -> usize {
    content.len() - content.trim_start_matches([' ', '-']).len()
}

/// The mappings and lists in flow style that are open, such as `{image: a, name: b}`.
#[derive(Debug, Default)]
struct Flow {
    /// The column of the key or item that contains the outermost one.
    base: usize,
    depth: usize,
}

impl Flow {
    /// Adds the keys of a line from `at` on.
    fn add<'t>(
        &mut self,
        content: &'t str,
        at: usize,
        start: usize,
        entries: &mut Vec<ScalarEntry<'t>>,
    ) {
        let mut at = at;
        while let Some(c) = content[at..].chars().next() {
            let rest = &content[at..];
            match c {
                '{' | '[' if is_flow(rest) => self.depth += 1,
                '}' | ']' => self.depth = self.depth.saturating_sub(1),
                '#' if content[..at].ends_with([' ', '\t']) => return,
                ' ' | '\t' | ',' | ':' => {}
                _ => {
                    at = self.item(content, at, start, entries);
                    continue;
                }
            }
            at += c.len_utf8();
            if self.depth == 0 {
                return;
            }
        }
    }

    /// Adds the key at an offset, if there is one. Returns the offset after its value, or after the
    /// value that has no key.
    fn item<'t>(
        &self,
        content: &'t str,
        at: usize,
        start: usize,
        entries: &mut Vec<ScalarEntry<'t>>,
    ) -> usize {
        let Some((key, after)) = key(&content[at..]) else {
            return after_quote(content, flow_scalar(content, at));
        };
        let value_at = content.len() - after.trim_start().len();
        let range = if is_flow(&content[value_at..]) {
            value_at..value_at
        } else {
            flow_scalar(content, value_at)
        };
        entries.push(ScalarEntry {
            indent: self.base + self.depth,
            key,
            value: &content[range.clone()],
            position: start + range.start..start + range.end,
        });
        if range.is_empty() && !content[..range.start].ends_with(['"', '\'']) {
            return value_at;
        }
        after_quote(content, range)
    }
}

/// The offset after a scalar and its closing quote. It is after the start of the scalar.
fn after_quote(content: &str, range: Range<usize>) -> usize {
    let is_quoted = content[..range.start].ends_with(['"', '\''])
        && content[range.end..].starts_with(['"', '\'']);
    range.end + usize::from(is_quoted)
}

/// The key at the start of a text, with the text after its colon.
fn key(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''));
    let (key, rest) = if let Some(quote) = quote {
        let (key, rest) = text[1..].split_once(quote)?;
        (key, rest.trim_start().strip_prefix(':')?)
    } else {
        // A long line without a colon is not searched for each of its items.
        let (key, rest) = text.split_at(text.find(|c| !is_of_key(c))?);
        (key, rest.trim_start().strip_prefix(':')?)
    };
    let is_key = key.chars().all(is_of_key);
    // After a quoted key, as in JSON, the value may follow without a blank.
    let ends = quote.is_some() || rest.is_empty() || rest.starts_with([' ', '\t', '"', '\'']);
    (is_key && ends).then_some((key, rest))
}

const fn is_of_key(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/')
}

/// The position of a scalar at the end of a line, without its quotes, its anchor and a comment.
fn scalar(content: &str, at: usize) -> Range<usize> {
    let at = after_anchor(content, at, &[' ']);
    if let Some(range) = quoted(content, at) {
        return range;
    }
    let rest = &content[at..];
    let end = if rest.starts_with('#') {
        0
    } else {
        rest.find(" #").unwrap_or(rest.len())
    };
    at..at + rest[..end].trim_end().len()
}

/// The position of a scalar in a flow, like [`scalar`]. It ends before `,`, `}` and `]`, except those
/// of a variable or a template.
fn flow_scalar(content: &str, at: usize) -> Range<usize> {
    let at = after_anchor(content, at, &[' ', ',', '}', ']']);
    if let Some(range) = quoted(content, at) {
        return range;
    }
    let rest = &content[at..];
    let mut end = 0;
    while let Some(c) = rest[end..].chars().next() {
        let text = &rest[end..];
        let closing = match c {
            ',' | '}' | ']' => break,
            ' ' if text.starts_with(" #") => break,
            '$' if text.starts_with("${") => "}",
            '{' if text.starts_with("{{") => "}}",
            _ => "",
        };
        let near = &text[..text.floor_char_boundary(LONGEST_VARIABLE)];
        let length = near.find(closing).filter(|_| !closing.is_empty());
        end += length.map_or(c.len_utf8(), |length| length + closing.len());
    }
    at..at + rest[..end].trim_end().len()
}

/// The offset after an anchor or a tag, such as `&name` or `!!str`, which ends before one of the
/// characters.
fn after_anchor(content: &str, at: usize, ends: &[char]) -> usize {
    let rest = &content[at..];
    if !rest.starts_with(['&', '!']) {
        return at;
    }
    let end = rest.find(ends).unwrap_or(rest.len());
    at + rest.len() - rest[end..].trim_start().len()
}

/// The position of the text in quotes, if a quote is at `at`.
fn quoted(content: &str, at: usize) -> Option<Range<usize>> {
    let rest = &content[at..];
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let mut is_escaped = false;
    let is_end = |c: char| {
        let is_end = c == quote && !is_escaped;
        is_escaped = c == '\\' && quote == '"' && !is_escaped;
        is_end
    };
    let length = rest[1..].find(is_end).unwrap_or(rest.len() - 1);
    Some(at + 1..at + 1 + length)
}
