//! Writes text for a Dockerfile, for the parsers and the variable expansion of both builders
//! (`frontend/dockerfile/parser` and `shell` in BuildKit).

use super::Piece;

/// The longest text on one line, in bytes: old parsers reject lines of 64 KiB.
pub(super) const MAX_LENGTH: usize = 60_000;
/// The longest name of a label, in bytes: it shares a line with its value even if every character
/// is escaped.
pub(super) const LONGEST_KEY: usize = 7_000;

/// The longest comment, in characters.
pub(super) const LONGEST_COMMENT: usize = 1_000;

/// The maximum number of ports on one line; the longest port is `65535/sctp`.
pub(super) const PORTS: usize = MAX_LENGTH / 11;

/// The length of a line, in bytes, after which it is continued on the next line.
const FOLD: usize = 50_000;

/// Quotes a text. Only `"`, `$` and `\` have a special meaning between double quotes.
fn quoted(text: &str) -> String {
    value(&[Piece::Text(text.to_owned())])
}

/// Writes a value in double quotes. A long value continues on further lines, each with its own pair
/// of quotes.
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
                // No colon: Podman and Buildah use the text after `:?` as the value.
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

/// Writes the only argument of an instruction, without quotes if possible.
pub(super) fn argument(pieces: &[Piece]) -> String {
    match pieces {
        [Piece::Text(text)] => word(text),
        [Piece::Variable(name)] => format!("${{{name}}}"),
        pieces => value(pieces),
    }
}

/// Writes a word, with quotes only if it needs them.
pub(super) fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._:@+,-".contains(c);
    let bare = text.chars().all(plain) && !text.is_empty() && !text.starts_with('-');
    if bare { text.to_owned() } else { quoted(text) }
}

/// Writes the key of a label or a variable. A leading `-` needs quotes, since it would be a flag.
pub(super) fn key(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    let bare = text.chars().all(plain) && !text.starts_with('-');
    if bare { text.to_owned() } else { quoted(text) }
}

/// True if the shell form keeps a text unchanged: it is one line, not a list, and the parsers
/// neither trim nor continue it.
pub(super) fn verbatim(text: &str) -> bool {
    let kept = !text.is_empty() && text.trim() == text && !text.contains(['\r', '\n']);
    kept && !text.starts_with('[') && !text.ends_with('\\') && text.len() <= MAX_LENGTH
}

/// Writes words as a JSON list; a long list continues on further lines. The characters next to a
/// line break are written as `\uXXXX`, so that no line looks like a comment, ends in a blank or
/// ends in two backslashes.
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

/// A text whose long lines are continued on the next line.
#[derive(Default)]
struct Folding {
    text: String,
    /// The offset at which the current line begins.
    line: usize,
    /// True if the next character is the first of a line.
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

    /// Writes a character as `\uXXXX`.
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
