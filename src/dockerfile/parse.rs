//! Reads the lines of a Dockerfile: directives, comments, continuations and here-documents.

use super::here_document::{self, HereDocument};
use super::instruction::{Dockerfile, Flag, Instruction, Keyword, is_continued};
use super::json_list;
use crate::config_files::config::Invocation;
use crate::suggest::closest;

/// The longest Dockerfile that is parsed, in bytes.
const MAX_LENGTH: usize = 4 << 20;
/// The longest line, in bytes, as in Docker.
const MAX_LINE: usize = 65_535;
/// The maximum number of instructions.
const MAX_INSTRUCTIONS: usize = 20_000;

/// The reason why a text is not a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {kind}")]
pub struct Error {
    /// The number of the line, from 1.
    pub line: usize,
    /// The problem.
    pub kind: ErrorKind,
}

/// A problem of a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ErrorKind {
    /// The text is too long.
    #[error("the Dockerfile is longer than {} MiB", MAX_LENGTH >> 20)]
    TooLong,
    /// There are too many instructions.
    #[error("the Dockerfile has more than {MAX_INSTRUCTIONS} instructions")]
    TooMany,
    /// A line is too long.
    #[error("the line is longer than {MAX_LINE} bytes")]
    LongLine,
    /// The keyword is unknown.
    #[error("`{word}` is not an instruction{}", suggestion(word))]
    Unknown {
        /// The first word of the line.
        word: String,
    },
    /// An instruction needs arguments.
    #[error("{0} needs an argument")]
    NoArguments(Keyword),
    /// `FROM` has other words than a base and a name.
    #[error("FROM needs a base, or `BASE AS NAME`, not `{0}`")]
    From(String),
    /// The escape character cannot be used.
    #[error("the directive `escape` must be a backslash or a backtick, not `{0}`")]
    Escape(String),
    /// A here-document has no end.
    #[error("the here-document `{0}` has no end")]
    Open(String),
    /// A word of `ENV` or `LABEL` is not a pair.
    #[error("`{0}` is not a pair KEY=VALUE")]
    NoPair(String),
    /// `ONBUILD` needs another instruction.
    #[error("ONBUILD cannot have the instruction {0}")]
    Onbuild(Keyword),
    /// The first instruction must be `FROM`.
    #[error("{0} comes before the first FROM")]
    BeforeFrom(Keyword),
    /// There is no `FROM`.
    #[error("the Dockerfile has no FROM")]
    NoFrom,
    /// A word cannot be evaluated.
    #[error("`{word}`: {source}")]
    Expand {
        /// The word that cannot be evaluated.
        word: String,
        /// The problem.
        source: super::expand::Error,
    },
}

fn suggestion(word: &str) -> String {
    let word = word.to_ascii_uppercase();
    closest(&word, Keyword::ALL.iter().map(|keyword| keyword.as_str()))
        .map_or_else(String::new, |known| format!("; did you mean {known}?"))
}

/// Parses a Dockerfile. Fails at the first line that Docker would refuse to parse.
pub fn parse(text: &str) -> Result<Dockerfile, Error> {
    let text_start = if text.starts_with('\u{feff}') { 3 } else { 0 };
    if text.len() > MAX_LENGTH {
        let kind = ErrorKind::TooLong;
        return Err(Error { line: 1, kind });
    }
    let mut lines = SourceLines {
        rest: &text[text_start..],
        offset: text_start,
        number: 0,
    };
    let directives = directives(lines.rest);
    let escape = escape(&directives)?;
    let mut instructions = Vec::new();
    while let Some(instruction) = next_instruction(&mut lines, escape)? {
        if instructions.len() == MAX_INSTRUCTIONS {
            let (line, kind) = (instruction.line, ErrorKind::TooMany);
            return Err(Error { line, kind });
        }
        instructions.push(instruction);
    }
    Ok(Dockerfile {
        escape,
        instructions,
    })
}

/// The lines of a text, with their numbers and offsets.
struct SourceLines<'t> {
    rest: &'t str,
    offset: usize,
    /// The number of the last line, from 1.
    number: usize,
}

/// One line, without its line break.
#[derive(Clone, Copy)]
struct SourceLine<'t> {
    text: &'t str,
    /// The text with its line break.
    whole: &'t str,
    offset: usize,
}

impl<'t> SourceLines<'t> {
    fn next(&mut self) -> Result<Option<SourceLine<'t>>, Error> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let length = self.rest.find('\n').map_or(self.rest.len(), |end| end + 1);
        let (whole, rest) = self.rest.split_at(length);
        let offset = self.offset;
        self.rest = rest;
        self.offset += length;
        self.number += 1;
        if whole.len() > MAX_LINE {
            return Err(self.error(ErrorKind::LongLine));
        }
        let text = whole.trim_end_matches(['\r', '\n']);
        Ok(Some(SourceLine {
            text,
            whole,
            offset,
        }))
    }

    const fn error(&self, kind: ErrorKind) -> Error {
        Error {
            line: self.number,
            kind,
        }
    }
}

/// The parser directives: comments `# name=value` before everything else, each once.
fn directives(text: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        let directive = line.trim().strip_prefix('#').and_then(|comment| {
            let (name, value) = comment.split_once('=')?;
            let name = name.trim().to_ascii_lowercase();
            let is_name = name.chars().all(|c| c.is_ascii_alphanumeric());
            (is_name && name.starts_with(|c: char| c.is_ascii_alphabetic()))
                .then(|| (name, value.trim().to_owned()))
        });
        match directive {
            Some((name, value))
                if ["syntax", "escape", "check"].contains(&name.as_str())
                    && found.iter().all(|(other, _)| *other != name) =>
            {
                found.push((name, value));
            }
            _ => break,
        }
    }
    found
}

fn escape(directives: &[(String, String)]) -> Result<char, Error> {
    // The directives are the first lines, one in each.
    let mut lines = (1..).zip(directives);
    let Some((line, (_, value))) = lines.find(|(_, (name, _))| name == "escape") else {
        return Ok('\\');
    };
    match value.as_str() {
        "\\" => Ok('\\'),
        "`" => Ok('`'),
        _ => Err(Error {
            line,
            kind: ErrorKind::Escape(value.clone()),
        }),
    }
}

/// A logical line: a line joined with its continuation lines.
#[derive(Default)]
struct Logical {
    text: String,
    positions: Vec<(usize, usize)>,
}

impl Logical {
    /// Adds a physical line, without the escape character at its end. True if the next line
    /// continues it.
    fn add(&mut self, text: &str, offset: usize, escape: char) -> bool {
        let is_open = is_continued(text, escape);
        let text = if is_open {
            let trimmed = text.trim_end_matches([' ', '\t']);
            trimmed.strip_suffix(escape).unwrap_or(trimmed)
        } else {
            text
        };
        self.positions.push((self.text.len(), offset));
        self.text.push_str(text);
        is_open
    }
}

/// The next instruction; `None` at the end.
fn next_instruction(
    lines: &mut SourceLines<'_>,
    escape: char,
) -> Result<Option<Instruction>, Error> {
    while let Some(line) = lines.next()? {
        let start = lines.number;
        let text = line.text.trim_start();
        if text.starts_with('#') || text.is_empty() {
            continue;
        }
        let mut logical = Logical::default();
        let offset = line.offset + (line.text.len() - text.len());
        let mut is_open = logical.add(text, offset, escape);
        while is_open {
            let Some(line) = lines.next()? else { break };
            let trimmed = line.text.trim_start();
            if trimmed.starts_with('#') || trimmed.is_empty() {
                continue;
            }
            is_open = logical.add(line.text, line.offset, escape);
        }
        if logical.text.trim().is_empty() {
            continue;
        }
        let mut instruction =
            instruction(&logical, start).map_err(|kind| Error { line: start, kind })?;
        if instruction.has_here_documents() {
            instruction.here_documents = here_documents(&instruction.arguments, lines)?;
        }
        return Ok(Some(instruction));
    }
    Ok(None)
}

/// Splits a logical line into keyword, flags and arguments.
fn instruction(logical: &Logical, line: usize) -> Result<Instruction, ErrorKind> {
    let blank = |c: char| matches!(c, ' ' | '\t' | '\u{b}' | '\u{c}' | '\r');
    let text = logical.text.trim();
    let word = text.split(blank).next().unwrap_or_default();
    let keyword = Keyword::of(word).ok_or_else(|| ErrorKind::Unknown {
        word: word.chars().take(40).collect(),
    })?;
    let (flags, arguments) = flags(&text[word.len()..]);
    let arguments = arguments.trim();
    if arguments.is_empty() && flags.is_empty() {
        return Err(ErrorKind::NoArguments(keyword));
    }
    if keyword == Keyword::Onbuild {
        check_trigger(arguments)?;
    }
    // The arguments are the end of the trimmed line.
    let start = logical.text.trim_end().len() - arguments.len();
    Ok(Instruction {
        keyword,
        flags,
        arguments: arguments.to_owned(),
        here_documents: Vec::new(),
        line,
        positions: positions(&logical.positions, start),
    })
}

/// The positions of the text from `start` on.
fn positions(all: &[(usize, usize)], start: usize) -> Vec<(usize, usize)> {
    let first = all
        .partition_point(|(at, _)| *at <= start)
        .saturating_sub(1);
    let shifted = all.iter().skip(first).map(|(at, offset)| {
        if *at < start {
            (0, offset + (start - at))
        } else {
            (at - start, *offset)
        }
    });
    shifted.collect()
}

/// Checks the instruction after `ONBUILD`.
fn check_trigger(arguments: &str) -> Result<(), ErrorKind> {
    let word = arguments.split_whitespace().next().unwrap_or_default();
    match Keyword::of(word) {
        Some(keyword @ (Keyword::From | Keyword::Onbuild | Keyword::Maintainer)) => {
            Err(ErrorKind::Onbuild(keyword))
        }
        Some(_) => Ok(()),
        None => Err(ErrorKind::Unknown {
            word: word.chars().take(40).collect(),
        }),
    }
}

/// The flags at the start of a text, and the rest. In a flag, quotes and backslashes keep blanks.
fn flags(text: &str) -> (Vec<Flag>, &str) {
    let mut flags = Vec::new();
    let mut rest = text.trim_start();
    while rest.starts_with("--") {
        let (word, length) = flag_word(rest);
        rest = rest[length..].trim_start();
        if word == "--" {
            break;
        }
        let word = word.strip_prefix("--").unwrap_or(&word);
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word, None),
        };
        flags.push(Flag {
            name: name.to_owned(),
            value,
        });
    }
    (flags, rest)
}

/// The first word without its quotes, and its length in the text.
fn flag_word(text: &str) -> (String, usize) {
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match (c, quote) {
            (c, None) if c.is_whitespace() => return (word, at),
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            ('\\', _) => word.extend(chars.next().map(|(_, next)| next)),
            (c, _) => word.push(c),
        }
    }
    (word, text.len())
}

/// Reads the here-documents that a line opens.
fn here_documents(line: &str, lines: &mut SourceLines<'_>) -> Result<Vec<HereDocument>, Error> {
    let mut documents = here_document::opened_by(line);
    for document in &mut documents {
        loop {
            let Some(line) = lines.next()? else {
                return Err(lines.error(ErrorKind::Open(document.name.clone())));
            };
            let end = if document.strips_tabs {
                line.text.trim_start_matches('\t')
            } else {
                line.text
            };
            if end == document.name {
                break;
            }
            document.content.push_str(line.whole);
        }
    }
    Ok(documents)
}

impl Instruction {
    /// True if here-documents may follow it: a JSON list has none.
    fn has_here_documents(&self) -> bool {
        self.keyword.has_here_documents()
            && self.arguments.contains("<<")
            && json_list::of(&self.arguments).is_none()
    }

    /// The text of `RUN` as a shell reads it, with its here-documents.
    #[must_use]
    pub fn with_here_documents(&self) -> String {
        let mut text = self.arguments.clone();
        for document in &self.here_documents {
            text.push('\n');
            text.push_str(&document.content);
            text.push_str(&document.name);
        }
        text
    }

    /// The only here-document, if the arguments consist of it.
    #[must_use]
    pub fn only_here_document(&self) -> Option<&HereDocument> {
        match (self.here_documents.as_slice(), self.form()) {
            ([document], Invocation::Shell(text)) if here_document::of(&text).is_some() => {
                Some(document)
            }
            _ => None,
        }
    }
}
