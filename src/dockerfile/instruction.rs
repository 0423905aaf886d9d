//! The instructions of a Dockerfile.

use std::borrow::Cow;
use std::fmt::{self, Display, Formatter};
use std::ops::Range;

use super::here_document::HereDocument;
use super::json_list;
use crate::config_files::config::Invocation;

/// A parsed Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// The escape character: `\`, or a backtick if the directive `escape` sets it.
    pub escape: char,
    /// The instructions, in order.
    pub instructions: Vec<Instruction>,
}

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// The keyword.
    pub keyword: Keyword,
    /// The flags before the arguments, such as `--chown=app`.
    pub flags: Vec<Flag>,
    /// The arguments on one line: without flags, continuations and comments.
    pub arguments: String,
    /// The here-documents that follow it.
    pub here_documents: Vec<HereDocument>,
    /// The number of its first line, from 1.
    pub line: usize,
    /// The positions in the file of the bytes of `arguments`: the start in `arguments`, and the
    /// offset in the file.
    pub(super) positions: Vec<(usize, usize)>,
}

/// A flag of an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// The name, without the dashes.
    pub name: String,
    /// The value; `None` for a flag such as `--link`.
    pub value: Option<String>,
}

macro_rules! keywords {
    ($($variant:ident = $name:literal),+ $(,)?) => {
        /// The keyword of an instruction.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each variant is the keyword itself")]
        pub enum Keyword { $($variant),+ }

        impl Keyword {
            /// All keywords, in alphabetical order.
            pub(super) const ALL: &[Self] = &[$(Self::$variant),+];

            /// The keyword in upper case.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

keywords! {
    Add = "ADD", Arg = "ARG", Cmd = "CMD", Copy = "COPY", Entrypoint = "ENTRYPOINT", Env = "ENV",
    Expose = "EXPOSE", From = "FROM", Healthcheck = "HEALTHCHECK", Label = "LABEL",
    Maintainer = "MAINTAINER", Onbuild = "ONBUILD", Run = "RUN", Shell = "SHELL",
    Stopsignal = "STOPSIGNAL", User = "USER", Volume = "VOLUME", Workdir = "WORKDIR",
}

impl Keyword {
    /// The keyword that a word writes, in any case.
    #[must_use]
    pub(super) fn of(word: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|keyword| word.eq_ignore_ascii_case(keyword.as_str()))
    }

    /// True if here-documents may follow the instruction.
    pub(super) const fn has_here_documents(self) -> bool {
        matches!(self, Self::Add | Self::Copy | Self::Run)
    }
}

impl Display for Keyword {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Instruction {
    /// The value of a flag; an empty text for a flag without a value.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<&str> {
        let flag = self.flags.iter().find(|flag| flag.name == name)?;
        Some(flag.value.as_deref().unwrap_or_default())
    }

    /// The arguments as words between blanks. Quotes have no meaning.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.arguments.split_whitespace()
    }

    /// The arguments of `CMD`, `ENTRYPOINT`, `RUN` and `SHELL`.
    #[must_use]
    pub fn form(&self) -> Invocation {
        Invocation::of(&self.arguments)
    }

    /// The arguments of `ADD`, `COPY` and `VOLUME`: the items of a JSON list, or words.
    #[must_use]
    pub fn list(&self) -> Vec<String> {
        match self.form() {
            Invocation::Exec(words) => words,
            Invocation::Shell(_) => self.words().map(str::to_owned).collect(),
        }
    }

    /// The parts of the arguments on each line of the file.
    #[must_use]
    pub fn continued_lines(&self) -> Vec<&str> {
        let starts: Vec<usize> = self.positions.iter().map(|(start, _)| *start).collect();
        let ends = starts.iter().skip(1).copied().chain([self.arguments.len()]);
        let parts = starts.iter().zip(ends);
        parts
            .filter_map(|(start, end)| self.arguments.get(*start..end))
            .collect()
    }

    /// The position in the file of a range of `arguments`.
    #[must_use]
    pub fn position(&self, range: Range<usize>) -> Range<usize> {
        let at = |offset: usize| {
            let before = self
                .positions
                .partition_point(|(start, _)| *start <= offset);
            let (start, position) = before
                .checked_sub(1)
                .and_then(|index| self.positions.get(index))
                .copied()
                .unwrap_or_default();
            position + (offset - start)
        };
        let start = at(range.start);
        // The last byte decides, since a continuation may follow it.
        let end = range.end.checked_sub(1).map_or(start, |last| at(last) + 1);
        start..end.max(start)
    }
}

impl Invocation {
    /// The form of a command.
    #[must_use]
    pub fn of(text: &str) -> Self {
        json_list::of(text).map_or_else(|| Self::Shell(text.to_owned()), Self::Exec)
    }
}

impl Display for Flag {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "--{}", quoted(&self.name))?;
        match &self.value {
            Some(value) => write!(f, "={}", quoted(value)),
            None => Ok(()),
        }
    }
}

/// A text of a flag, in quotes if it has a character with a meaning. The quotes also keep blanks and
/// the escape character at the end of a line, where they would be removed.
fn quoted(text: &str) -> Cow<'_, str> {
    let is_special = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\' | '`');
    if !text.contains(is_special) {
        return Cow::Borrowed(text);
    }
    let mut out = String::from('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    Cow::Owned(out)
}

/// True if a line ends in a single escape character, after which the next line continues it.
pub(super) fn is_continued(line: &str, escape: char) -> bool {
    let line = line.trim_end_matches([' ', '\t']);
    line.strip_suffix(escape)
        .is_some_and(|rest| !rest.ends_with('\\') && !rest.ends_with(escape))
}
