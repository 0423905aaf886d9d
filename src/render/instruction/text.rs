//! Writes text for a Dockerfile, for the parsers and the variable expansion of both builders
//! (`frontend/dockerfile/parser` and `shell` in BuildKit).

use super::RenderedPiece;

/// The longest text on one line, in bytes: old parsers reject lines of 64 KiB.
pub(super) const MAX_LENGTH: usize = 60_000;
/// The longest name of a label, in bytes: it shares a line with its value even if every character
/// is escaped.
pub(super) const LONGEST_KEY: usize = 7_000;

/// The longest comment, in characters.
pub(super) const LONGEST_COMMENT: usize = 190;

/// The maximum number of ports in one instruction; the longest port is `65535/sctp`.
pub(super) const PORTS: usize = MAX_LENGTH / 11;

/// The length of a line, in bytes, after which it is continued on the next line at a blank.
const WIDTH: usize = 100;

/// The length of a line, in bytes, after which it is continued anywhere.
const FOLD: usize = 160;

/// Quotes a text. Only `"`, `$` and `\` have a special meaning between double quotes.
fn quoted(text: &str) -> String {
    value(0, &[RenderedPiece::Text(text.to_owned())])
}

/// Writes a value in double quotes; `before` is the length of the text before it on its line. A long
/// value continues on further lines.
pub(super) fn value(before: usize, pieces: &[RenderedPiece]) -> String {
    let mut out = FoldedText {
        before,
        ..FoldedText::default()
    };
    out.push("\"");
    for piece in pieces {
        match piece {
            RenderedPiece::Variable(name) => out.push_quoted(&format!("${{{name}}}")),
            // No colon: Podman and Buildah use the text after `:?` as the value.
            RenderedPiece::Required(name, message) => {
                out.push_quoted(&format!("${{{name}?{message}}}"));
            }
            RenderedPiece::Text(text) => {
                for c in text.chars() {
                    let escape = if matches!(c, '"' | '$' | '\\') {
                        "\\"
                    } else {
                        ""
                    };
                    out.push_quoted(&format!("{escape}{c}"));
                }
            }
        }
    }
    out.push("\"");
    out.text
}

/// Writes a text in shell form, which continues on further lines at blanks; `before` is the length of
/// the text before it on its line.
pub(super) fn shell_form(before: usize, text: &str) -> String {
    let mut out = FoldedText {
        before,
        ..FoldedText::default()
    };
    for c in text.chars() {
        if out.length() > WIDTH && out.text.ends_with(' ') && is_safe_start(c) {
            out.continue_line("");
        }
        out.text.push(c);
    }
    out.text
}

/// True if a continued line may begin with a character: the parsers drop blank lines and comments.
fn is_safe_start(c: char) -> bool {
    !c.is_whitespace() && c != '#'
}

/// Writes words with blanks between them. A long list continues on further lines.
pub(in crate::render) fn wrapped<'a>(words: impl Iterator<Item = &'a String>) -> String {
    let mut out = FoldedText::default();
    for word in words {
        if out.length() > 0 {
            if out.length() + word.len() > WIDTH {
                out.push(" ");
                out.continue_line("  ");
            } else {
                out.push(" ");
            }
        }
        out.push(word);
    }
    out.text
}

/// Writes the only argument of an instruction, without quotes if possible.
pub(super) fn argument(pieces: &[RenderedPiece]) -> String {
    match pieces {
        [RenderedPiece::Text(text)] => word(text),
        [RenderedPiece::Variable(name)] => format!("${{{name}}}"),
        pieces => value(0, pieces),
    }
}

/// Writes a word, with quotes only if it needs them.
pub(super) fn word(text: &str) -> String {
    if is_plain(text) {
        text.to_owned()
    } else {
        quoted(text)
    }
}

/// True if a word needs no quotes and fits on one line.
pub(super) fn is_plain(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._:@+,-".contains(c);
    text.chars().all(plain) && !text.is_empty() && !text.starts_with('-') && text.len() < FOLD
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
/// ends in two backslashes. `before` is the length of the text before the list on its line.
pub(super) fn json_words<T: AsRef<str>>(before: usize, words: &[T]) -> String {
    let mut out = FoldedText {
        before,
        ..FoldedText::default()
    };
    out.push("[");
    for (position, text) in words.iter().enumerate() {
        if position > 0 {
            out.push(",");
            if out.length() > WIDTH {
                out.continue_line("  ");
            }
        }
        out.push("\"");
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
struct FoldedText {
    text: String,
    /// The length of the text before the first line.
    before: usize,
    /// The offset at which the current line begins.
    line: usize,
    /// True if the next character is the first of a line.
    fresh: bool,
}

impl FoldedText {
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.fresh = false;
    }

    /// The length of the current line, in bytes.
    const fn length(&self) -> usize {
        self.before + self.text.len() - self.line
    }

    /// Begins a new line with `indent`.
    fn continue_line(&mut self, indent: &str) {
        self.text.push_str("\\\n");
        self.line = self.text.len();
        self.before = 0;
        self.text.push_str(indent);
    }

    /// Adds a character or a variable between double quotes. A line ends after a blank if possible.
    /// Where no line may begin, it ends between two quoted parts of one word.
    fn push_quoted(&mut self, unit: &str) {
        let is_full = self.length() > FOLD;
        if is_full || (self.length() > WIDTH && self.text.ends_with(' ')) {
            if unit.starts_with(is_safe_start) && !self.text.ends_with('\\') {
                self.continue_line("");
            } else if is_full {
                self.text.push('"');
                self.continue_line("\"");
            }
        }
        self.push(unit);
    }

    fn push_json(&mut self, c: char) {
        if self.fresh {
            self.push_unit(c);
        } else if self.length() > FOLD {
            self.push_unit(c);
            self.continue_line("");
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
