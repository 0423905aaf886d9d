//! Evaluates quotes and variables in a word, as the shell lexer of `BuildKit` does.

use std::iter::Peekable;
use std::str::Chars;

use regex::Regex;

use super::scope::{Scope, ScopeValue, TooLarge};

/// The longest result, in bytes.
const MAX_LENGTH: usize = 64 << 10;
/// The longest pattern of a substitution, in bytes.
const MAX_PATTERN: usize = 1 << 10;
/// The deepest nesting of `${…}`.
const MAX_DEPTH: usize = 32;

/// The reason why a word cannot be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A quote is not closed.
    #[error("the quote {0} is not closed")]
    OpenQuote(char),
    /// A `${` is malformed or unknown.
    #[error("the substitution ${{{0} is not valid")]
    Substitution(String),
    /// `${NAME:?MESSAGE}` of a variable without a value.
    #[error("{name}: {message}")]
    Required {
        /// The variable.
        name: String,
        /// The message of the Dockerfile.
        message: String,
    },
    /// The result depends on a variable of the base.
    #[error("the value of {0} in the base is not known")]
    Unknown(String),
    /// The result is too long.
    #[error("the value is longer than {} KiB", MAX_LENGTH >> 10)]
    TooLong,
    /// The nesting is too deep.
    #[error("the substitutions are nested too deeply")]
    TooDeep,
    /// The values of all variables are too long.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

/// Evaluates a word: removes quotes and escape characters, and replaces variables.
pub fn word(text: &str, escape: char, scope: &Scope) -> Result<ScopeValue, Error> {
    Lexer::new(text, escape, scope, Quotes::Removed).all()
}

/// Replaces variables in a text in which quotes have no meaning: the content of a here-document.
pub fn here_document(text: &str, escape: char, scope: &Scope) -> Result<ScopeValue, Error> {
    Lexer::new(text, escape, scope, Quotes::Kept).all()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quotes {
    Removed,
    Kept,
}

struct Lexer<'a> {
    chars: Peekable<Chars<'a>>,
    escape: char,
    scope: &'a Scope,
    quotes: Quotes,
    depth: usize,
}

impl<'a> Lexer<'a> {
    fn new(text: &'a str, escape: char, scope: &'a Scope, quotes: Quotes) -> Self {
        Self {
            chars: text.chars().peekable(),
            escape,
            scope,
            quotes,
            depth: 0,
        }
    }

    fn all(mut self) -> Result<ScopeValue, Error> {
        self.until(None)
    }

    /// Evaluates the text up to `stop`, which is consumed, or up to the end.
    fn until(&mut self, stop: Option<char>) -> Result<ScopeValue, Error> {
        let mut out = ScopeValue::default();
        while let Some(c) = self.chars.next() {
            match c {
                c if Some(c) == stop => return checked(out),
                '\'' if self.quotes == Quotes::Removed => self.single_quoted(&mut out)?,
                '"' if self.quotes == Quotes::Removed => self.double_quoted(&mut out)?,
                '$' => out.append(self.dollar()?),
                c if c == self.escape => self.escaped(&mut out),
                c => out.push(c),
            }
            if out.len() > MAX_LENGTH {
                return Err(Error::TooLong);
            }
        }
        match stop {
            Some(stop) => Err(Error::Substitution(format!("without {stop}"))),
            None => checked(out),
        }
    }

    /// An escape character. In a here-document, it escapes only `$` and itself.
    fn escaped(&mut self, out: &mut ScopeValue) {
        let Some(next) = self.chars.peek().copied() else {
            if self.quotes == Quotes::Kept {
                out.push(self.escape);
            }
            return;
        };
        if self.quotes == Quotes::Kept && next != '$' && next != self.escape {
            out.push(self.escape);
            return;
        }
        self.chars.next();
        out.push(next);
    }

    fn single_quoted(&mut self, out: &mut ScopeValue) -> Result<(), Error> {
        for c in self.chars.by_ref() {
            if c == '\'' {
                // Empty quotes are an empty text, not nothing.
                out.append(ScopeValue::text(""));
                return Ok(());
            }
            out.push(c);
        }
        Err(Error::OpenQuote('\''))
    }

    fn double_quoted(&mut self, out: &mut ScopeValue) -> Result<(), Error> {
        while let Some(c) = self.chars.next() {
            match c {
                '"' => {
                    out.append(ScopeValue::text(""));
                    return Ok(());
                }
                '$' => out.append(self.dollar()?),
                c if c == self.escape => match self.chars.next() {
                    None => return Err(Error::OpenQuote('"')),
                    Some(next) => {
                        if next != '"' && next != '$' && next != self.escape {
                            out.push(c);
                        }
                        out.push(next);
                    }
                },
                c => out.push(c),
            }
            if out.len() > MAX_LENGTH {
                return Err(Error::TooLong);
            }
        }
        Err(Error::OpenQuote('"'))
    }

    /// The value after a `$`.
    fn dollar(&mut self) -> Result<ScopeValue, Error> {
        if self.chars.next_if_eq(&'{').is_none() {
            let name = self.name();
            if name.is_empty() {
                return Ok(ScopeValue::text("$"));
            }
            return Ok(self.scope.value(&name).unwrap_or_default());
        }
        if self.depth == MAX_DEPTH {
            return Err(Error::TooDeep);
        }
        self.depth += 1;
        let value = self.braced();
        self.depth -= 1;
        value
    }

    /// The value of `${NAME…}`, after the brace.
    fn braced(&mut self) -> Result<ScopeValue, Error> {
        let name = self.name();
        if name.is_empty() {
            return Err(Error::Substitution(String::new()));
        }
        let value = self.scope.value(&name);
        match self.chars.next() {
            Some('}') => Ok(value.unwrap_or_default()),
            Some(':') => {
                let operator = self.chars.next();
                let is_set = value.as_ref().map_or(Ok(false), is_not_empty)?;
                self.alternative(&name, value, operator, is_set)
            }
            Some(operator @ ('-' | '+' | '?')) => {
                let is_set = match &value {
                    Some(value) => is_known_to_exist(value)?,
                    None => false,
                };
                self.alternative(&name, value, Some(operator), is_set)
            }
            Some(operator @ ('#' | '%' | '/')) => self.pattern(value.as_ref(), operator),
            _ => Err(Error::Substitution(name)),
        }
    }

    /// The value of `${NAME-WORD}`, `${NAME+WORD}` or `${NAME?MESSAGE}`, after the operator.
    fn alternative(
        &mut self,
        name: &str,
        value: Option<ScopeValue>,
        operator: Option<char>,
        is_set: bool,
    ) -> Result<ScopeValue, Error> {
        let word = self.until(Some('}'))?;
        let value = value.unwrap_or_default();
        match operator {
            Some('-') => Ok(if is_set { value } else { word }),
            Some('+') => Ok(if is_set { word } else { ScopeValue::default() }),
            Some('?') if is_set => Ok(value),
            Some('?') => Err(Error::Required {
                name: name.to_owned(),
                message: word.known().unwrap_or_default(),
            }),
            _ => Err(Error::Substitution(name.to_owned())),
        }
    }

    /// The value of `${NAME#PATTERN}`, `%`, `##`, `%%`, `/` and `//`, after the operator.
    fn pattern(&mut self, value: Option<&ScopeValue>, operator: char) -> Result<ScopeValue, Error> {
        let is_double = self.chars.next_if_eq(&operator).is_some();
        let mut pattern = String::new();
        let mut replacement = None;
        loop {
            match self.chars.next() {
                None => return Err(Error::Substitution("without }".to_owned())),
                Some('}') => break,
                Some('/') if operator == '/' && replacement.is_none() => {
                    replacement = Some(known(&self.until(Some('}'))?)?);
                    break;
                }
                Some('$') => pattern.push_str(&known(&self.dollar()?)?),
                Some(c) => pattern.push(c),
            }
        }
        let text = value.map_or(Ok(String::new()), known)?;
        if text.len() > MAX_LENGTH || pattern.len() > MAX_PATTERN {
            return Err(Error::TooLong);
        }
        let Some(pattern) = ShellPattern::of(&pattern) else {
            return Ok(ScopeValue::text(text));
        };
        let replaced = match operator {
            '#' => without_prefix(&text, &pattern, is_double)?,
            '%' => without_suffix(&text, pattern, is_double)?,
            _ => {
                let replacement = replacement.unwrap_or_default();
                replaced(&text, &pattern, &replacement, is_double)?
            }
        };
        Ok(ScopeValue::text(replaced))
    }

    /// The name of a variable: letters, digits and `_`, or one special character.
    fn name(&mut self) -> String {
        let mut name = String::new();
        let Some(first) = self.chars.peek().copied() else {
            return name;
        };
        if first.is_ascii_digit() {
            while let Some(c) = self.chars.next_if(char::is_ascii_digit) {
                name.push(c);
            }
        } else if "@*#?-$!".contains(first) {
            name.extend(self.chars.next());
        } else {
            while let Some(c) = self
                .chars
                .next_if(|c| c.is_ascii_alphanumeric() || *c == '_')
            {
                name.push(c);
            }
        }
        name
    }
}

fn checked(value: ScopeValue) -> Result<ScopeValue, Error> {
    if value.len() > MAX_LENGTH {
        Err(Error::TooLong)
    } else {
        Ok(value)
    }
}

fn known(value: &ScopeValue) -> Result<String, Error> {
    value
        .known()
        .map_err(|name| Error::Unknown(name.to_owned()))
}

/// True if a value is not empty. Fails if only the base decides it.
fn is_not_empty(value: &ScopeValue) -> Result<bool, Error> {
    match value.known() {
        Ok(text) => Ok(!text.is_empty()),
        Err(_) if value.has_text() => Ok(true),
        Err(name) => Err(Error::Unknown(name.to_owned())),
    }
}

/// True if a variable is set. Fails if only the base decides it.
fn is_known_to_exist(value: &ScopeValue) -> Result<bool, Error> {
    match value.only_inherited() {
        Some(name) => Err(Error::Unknown(name.to_owned())),
        None => Ok(true),
    }
}

/// A part of a shell pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PatternPart {
    /// `*`.
    Any,
    /// `?`.
    One,
    /// A character, perhaps after a `\`.
    Literal(char),
}

/// A shell pattern with `*`, `?` and `\`.
struct ShellPattern(Vec<PatternPart>);

impl ShellPattern {
    /// Parses a pattern. `None` if a `\` ends it, so that it matches nothing.
    fn of(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                // Several of them mean the same as one.
                '*' if parts.last() == Some(&PatternPart::Any) => {}
                '*' => parts.push(PatternPart::Any),
                '?' => parts.push(PatternPart::One),
                '\\' => parts.push(PatternPart::Literal(chars.next()?)),
                c => parts.push(PatternPart::Literal(c)),
            }
        }
        Some(Self(parts))
    }

    /// The pattern of the reversed text.
    fn reversed(mut self) -> Self {
        self.0.reverse();
        self
    }

    /// The regular expression, whose time is linear in the length of the text.
    fn regex(&self, is_longest: bool, is_prefix: bool) -> Result<Regex, Error> {
        let mut source = if is_prefix { r"(?s)\A" } else { "(?s)" }.to_owned();
        for part in &self.0 {
            match part {
                PatternPart::Any if is_longest => source.push_str(".*"),
                PatternPart::Any => source.push_str(".*?"),
                PatternPart::One => source.push('.'),
                PatternPart::Literal(c) => {
                    source.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
                }
            }
        }
        Regex::new(&source).map_err(|_| Error::TooLong)
    }
}

/// The text without the shortest or longest start that matches.
fn without_prefix(text: &str, pattern: &ShellPattern, is_longest: bool) -> Result<String, Error> {
    let found = pattern.regex(is_longest, true)?.find(text);
    Ok(text[found.map_or(0, |found| found.end())..].to_owned())
}

/// The text without the shortest or longest end that matches.
fn without_suffix(text: &str, pattern: ShellPattern, is_longest: bool) -> Result<String, Error> {
    let reversed: String = text.chars().rev().collect();
    let rest = without_prefix(&reversed, &pattern.reversed(), is_longest)?;
    Ok(rest.chars().rev().collect())
}

/// The text with the first match, or every match, replaced. Each match is as long as possible, and
/// not empty.
fn replaced(
    text: &str,
    pattern: &ShellPattern,
    replacement: &str,
    is_every: bool,
) -> Result<String, Error> {
    let regex = pattern.regex(true, false)?;
    let found = regex.find_iter(text).filter(|found| !found.is_empty());
    let mut out = String::new();
    let mut end = 0;
    for found in found.take(if is_every { usize::MAX } else { 1 }) {
        out.push_str(&text[end..found.start()]);
        out.push_str(replacement);
        end = found.end();
        if out.len() > MAX_LENGTH {
            return Err(Error::TooLong);
        }
    }
    Ok(out + &text[end..])
}
