//! How text is written in a Dockerfile, as both builders' parser and word expansion read it
//! (buildkit `frontend/dockerfile/parser` and `shell`).

use super::Piece;

/// The longest text that an instruction holds on one line: the oldest parsers stop at lines of 64 KiB.
pub(super) const LONGEST: usize = 60_000;
/// The longest name of a label that stands before its value, with every character of it escaped.
pub(super) const LONGEST_KEY: usize = 7_000;

/// The longest comment, in characters.
pub(super) const LONGEST_COMMENT: usize = 1_000;

/// The most ports that one line holds, `65535/sctp` the longest of them.
pub(super) const PORTS: usize = LONGEST / 11;

/// Where a long line is continued on the next one.
const FOLD: usize = 50_000;

/// A text in double quotes. `"`, `$` and `\` are the only characters that mean something in there.
fn quoted(text: &str) -> String {
    value(&[Piece::Text(text.to_owned())])
}

/// A value put together, in double quotes; on more than one line, in more than one pair of quotes, when it is long.
pub(super) fn value(pieces: &[Piece]) -> String {
    let mut out = Folding::default();
    out.push("\"");
    for piece in pieces {
        match piece {
            Piece::Variable(name) => {
                out.fold_quotes();
                out.push(&format!("${{{name}}}"));
            }
            Piece::Required(name, message) => {
                out.fold_quotes();
                // Without a colon: Podman and Buildah take the text after `:?` for the value.
                out.push(&format!("${{{name}?{message}}}"));
            }
            Piece::Text(text) => {
                for c in text.chars() {
                    out.fold_quotes();
                    if matches!(c, '"' | '$' | '\\') {
                        out.text.push('\\');
                    }
                    out.text.push(c);
                }
            }
        }
    }
    out.push("\"");
    out.text
}

/// The only argument of an instruction: bare where it can be.
pub(super) fn argument(pieces: &[Piece]) -> String {
    match pieces {
        [Piece::Text(text)] => word(text),
        [Piece::Variable(name)] => format!("${{{name}}}"),
        pieces => value(pieces),
    }
}

/// A word: bare where nothing in it needs quotes.
pub(super) fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._:@+,-".contains(c);
    let bare = text.chars().all(plain) && !text.is_empty() && !text.starts_with('-');
    if bare { text.to_owned() } else { quoted(text) }
}

/// The key of a label or a variable. A leading `-` would make it a flag.
pub(super) fn key(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    let bare = text.chars().all(plain) && !text.starts_with('-');
    if bare { text.to_owned() } else { quoted(text) }
}

/// Whether the shell form holds a text as it is: one line, not a list, nothing that is trimmed or continued.
pub(super) fn verbatim(text: &str) -> bool {
    let kept = !text.is_empty() && text.trim() == text && !text.contains(['\r', '\n']);
    kept && !text.starts_with('[') && !text.ends_with('\\') && text.len() <= LONGEST
}

/// Words as a JSON list, on more than one line when it is long. Both sides of a fold are written as `\uXXXX`, so
/// that no line looks like a comment, ends in a blank, or ends in two backslashes.
pub(super) fn json_words<T: AsRef<str>>(words: &[T]) -> String {
    let mut out = Folding::default();
    out.push("[");
    for (position, text) in words.iter().enumerate() {
        out.push(if position == 0 { "\"" } else { ",\"" });
        for c in text.as_ref().chars() {
            out.push_json(c);
        }
        out.push("\"");
    }
    out.push("]");
    out.text
}

/// Text that is continued on the next line when the line is long.
#[derive(Default)]
struct Folding {
    text: String,
    /// Where the line begins.
    line: usize,
    /// Whether the next character is the first one of a line.
    fresh: bool,
}

impl Folding {
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.fresh = false;
    }

    /// Ends a long line between two quoted parts of one word.
    fn fold_quotes(&mut self) {
        if self.text.len() - self.line > FOLD {
            self.text.push_str("\"\\\n");
            self.line = self.text.len();
            self.text.push('"');
        }
    }

    fn push_json(&mut self, c: char) {
        if self.fresh {
            self.push_unit(c);
        } else if self.text.len() - self.line > FOLD {
            self.push_unit(c);
            self.text.push_str("\\\n");
            self.line = self.text.len();
            self.fresh = true;
        } else {
            let escape = match c {
                '"' => "\\\"".to_owned(),
                '\\' => "\\\\".to_owned(),
                '\n' => "\\n".to_owned(),
                '\t' => "\\t".to_owned(),
                c if c.is_control() => return self.push_unit(c),
                c => c.to_string(),
            };
            self.push(&escape);
        }
    }

    /// A character by its number.
    fn push_unit(&mut self, c: char) {
        let mut units = [0; 2];
        let escapes = c
            .encode_utf16(&mut units)
            .iter()
            .map(|unit| format!("\\u{unit:04x}"));
        let escapes: String = escapes.collect();
        self.push(&escapes);
    }
}
