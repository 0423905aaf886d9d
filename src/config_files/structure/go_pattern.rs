//! Regular expressions of Go, which differ from those of Rust in details: `\d`, `\s`, `\w` and `\b`
//! are about ASCII, `[` in a class and an incomplete `{` are literal, and `\Q…\E` and octal escapes
//! exist.

use std::fmt::{self, Write as _};
use std::iter::Peekable;
use std::str::Chars;

use regex::bytes::{Regex, RegexBuilder};

use crate::config_files::regular_expression;

/// The limit for the compiled form of a pattern, in bytes.
const SIZE: usize = 4 << 20;
/// The highest number of a repetition.
const REPEAT: u32 = 1000;
/// The names of classes such as `[:alpha:]`.
const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

/// A regular expression in the syntax of Go.
#[derive(Debug, Clone)]
pub struct GoPattern {
    written: String,
    compiled: Regex,
}

impl GoPattern {
    /// Compiles a pattern. Fails if Go would refuse it.
    pub fn new(written: &str) -> Result<Self, String> {
        let translated = Translation::of(written)
            .map_err(|because| regular_expression::refused_because(written, &because))?;
        let compiled = RegexBuilder::new(&translated).size_limit(SIZE).build();
        let compiled = compiled.map_err(|error| regular_expression::refused(written, &error))?;
        Ok(Self {
            written: written.to_owned(),
            compiled,
        })
    }

    /// True if a part of the bytes matches. A byte that is not UTF-8 counts as one character.
    #[must_use]
    pub fn is_match(&self, bytes: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(bytes) else {
            let mut text = String::new();
            for chunk in bytes.utf8_chunks() {
                text.push_str(chunk.valid());
                text.extend(std::iter::repeat_n('\u{fffd}', chunk.invalid().len()));
            }
            return self.compiled.is_match(text.as_bytes());
        };
        self.compiled.is_match(text.as_bytes())
    }
}

impl fmt::Display for GoPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl PartialEq for GoPattern {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Eq for GoPattern {}

/// The kind of the last part of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    /// Nothing that could be repeated.
    Nothing,
    /// An expression, which may be repeated.
    Expression,
    /// A repetition of an expression, such as `a*`.
    Repetition,
}

/// A pattern of Go that is rewritten for Rust.
struct Translation<'p> {
    rest: Peekable<Chars<'p>>,
    out: String,
    last: Last,
}

impl<'p> Translation<'p> {
    fn of(pattern: &'p str) -> Result<String, String> {
        let mut translation = Self {
            rest: pattern.chars().peekable(),
            out: String::new(),
            last: Last::Nothing,
        };
        while let Some(next) = translation.rest.next() {
            translation.part(next)?;
        }
        Ok(translation.out)
    }

    fn part(&mut self, next: char) -> Result<(), String> {
        match next {
            '*' | '+' | '?' => self.repeat(&next.to_string())?,
            '{' => match self.count() {
                Some(count) => {
                    let count = count?;
                    self.repeat(&count)?;
                }
                None => self.expression(r"\{"),
            },
            '(' => self.group()?,
            '|' => {
                self.out.push('|');
                self.last = Last::Nothing;
            }
            ')' | '^' | '$' | '.' => self.expression(&next.to_string()),
            '[' => self.class()?,
            '\\' => self.escape()?,
            literal => self.expression(&regex::escape(&literal.to_string())),
        }
        Ok(())
    }

    fn expression(&mut self, text: &str) {
        self.out.push_str(text);
        self.last = Last::Expression;
    }

    fn repeat(&mut self, operator: &str) -> Result<(), String> {
        match self.last {
            Last::Nothing => return Err(format!("`{operator}` repeats nothing")),
            Last::Repetition => return Err("a repetition is repeated".to_owned()),
            Last::Expression => {}
        }
        self.out.push_str(operator);
        if self.rest.next_if_eq(&'?').is_some() {
            self.out.push('?');
        }
        self.last = Last::Repetition;
        Ok(())
    }

    /// The numbers of a repetition after `{`. `None`, and nothing is read, if it is not a repetition.
    fn count(&mut self) -> Option<Result<String, String>> {
        let mut ahead = self.rest.clone();
        let mut inside = String::new();
        loop {
            match ahead.next()? {
                '}' => break,
                other => inside.push(other),
            }
        }
        let (low, high) = match inside.split_once(',') {
            Some((low, high)) => (low, Some(high)),
            None => (inside.as_str(), None),
        };
        let number = |text: &str| {
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            (is_number && (text == "0" || !text.starts_with('0')))
                .then(|| text.parse().unwrap_or(u32::MAX))
        };
        let first = number(low)?;
        let last = match high {
            None | Some("") => first,
            Some(high) => number(high)?,
        };
        self.rest = ahead;
        if first > REPEAT || last > REPEAT || last < first {
            return Some(Err(format!("the repetition `{{{inside}}}` is invalid")));
        }
        Some(Ok(format!("{{{inside}}}")))
    }

    fn group(&mut self) -> Result<(), String> {
        if self.rest.next_if_eq(&'?').is_none() {
            self.out.push('(');
            self.last = Last::Nothing;
            return Ok(());
        }
        let mut head = String::new();
        loop {
            let next = self.rest.next().ok_or("a group is not closed")?;
            head.push(next);
            match next {
                '>' | ':' | ')' => break,
                _ => {}
            }
        }
        let named = head
            .strip_prefix("P<")
            .or_else(|| head.strip_prefix('<'))
            .and_then(|rest| rest.strip_suffix('>'));
        if let Some(name) = named {
            let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty() || !name.chars().all(is_word) {
                return Err(format!("`{name}` is not the name of a group"));
            }
            // The name has no meaning for a match.
            self.out.push('(');
            self.last = Last::Nothing;
            return Ok(());
        }
        let flags = head.trim_end_matches([':', ')']);
        let (set, cleared) = flags.split_once('-').unwrap_or((flags, "x"));
        let is_known = |text: &str| text.chars().all(|flag| "imsU".contains(flag));
        let is_valid =
            is_known(set) && !cleared.is_empty() && (is_known(cleared) || cleared == "x");
        if !is_valid || head.ends_with('>') || head == ")" || flags.contains('x') {
            return Err(format!("`(?{head}` is not supported"));
        }
        let _ = write!(self.out, "(?{head}");
        if head.ends_with(':') {
            self.last = Last::Nothing;
        }
        Ok(())
    }

    /// A part after a backslash, outside of a class.
    fn escape(&mut self) -> Result<(), String> {
        let next = *self.rest.peek().ok_or("it ends with a backslash")?;
        let simple = match next {
            'b' => Some(r"(?-u:\b)"),
            'B' => Some(r"(?-u:\B)"),
            'A' => Some(r"\A"),
            'z' => Some(r"\z"),
            _ => None,
        };
        if let Some(text) = simple {
            self.rest.next();
            self.expression(text);
            return Ok(());
        }
        if next == 'Q' {
            self.rest.next();
            self.quoted();
            return Ok(());
        }
        if let Some(set) = self.set()? {
            self.expression(&format!("[{set}]"));
            return Ok(());
        }
        let literal = self.escaped_char()?;
        self.expression(&character(literal));
        Ok(())
    }

    /// The literal text between `\Q` and `\E`.
    fn quoted(&mut self) {
        while let Some(next) = self.rest.next() {
            if next == '\\' && self.rest.next_if_eq(&'E').is_some() {
                break;
            }
            self.expression(&character(next));
        }
    }

    /// A set such as `\d` after a backslash, as a part of a class. `None`, and nothing is read, if
    /// it is a character.
    fn set(&mut self) -> Result<Option<String>, String> {
        const SPACE: &str = r"\t\n\x0C\r\x20";
        let set = match self.rest.peek() {
            Some('d') => "0-9".to_owned(),
            Some('D') => "[^0-9]".to_owned(),
            Some('w') => "0-9A-Za-z_".to_owned(),
            Some('W') => "[^0-9A-Za-z_]".to_owned(),
            Some('s') => SPACE.to_owned(),
            Some('S') => format!("[^{SPACE}]"),
            Some(&letter @ ('p' | 'P')) => {
                self.rest.next();
                return self.property(letter == 'P').map(Some);
            }
            _ => return Ok(None),
        };
        self.rest.next();
        Ok(Some(set))
    }

    /// A Unicode property after `\p` or `\P`.
    fn property(&mut self, is_negated: bool) -> Result<String, String> {
        let unclosed = || "a Unicode class is not complete".to_owned();
        let mut name = String::new();
        match self.rest.next().ok_or_else(unclosed)? {
            '{' => loop {
                match self.rest.next().ok_or_else(unclosed)? {
                    '}' => break,
                    other => name.push(other),
                }
            },
            letter => name.push(letter),
        }
        let (name, is_negated) = match name.strip_prefix('^') {
            Some(rest) => (rest, !is_negated),
            None => (name.as_str(), is_negated),
        };
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(format!("`{name}` is not a Unicode class"));
        }
        let letter = if is_negated { 'P' } else { 'p' };
        Ok(format!("\\{letter}{{{name}}}"))
    }

    /// A single character after a backslash.
    fn escaped_char(&mut self) -> Result<char, String> {
        let next = self.rest.next().ok_or("it ends with a backslash")?;
        let invalid = || format!("the escape `\\{next}` is not supported");
        match next {
            'a' => Ok('\u{7}'),
            'f' => Ok('\u{c}'),
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            't' => Ok('\t'),
            'v' => Ok('\u{b}'),
            'x' => self.hexadecimal().ok_or_else(invalid),
            '0'..='7' => {
                let is_octal = |c: &char| ('0'..='7').contains(c);
                if next != '0' && !self.rest.peek().is_some_and(is_octal) {
                    return Err(format!("the back reference `\\{next}` is not supported"));
                }
                let mut number = next.to_digit(8).unwrap_or_default();
                for _ in 0..2 {
                    let Some(digit) = self.rest.next_if(is_octal) else {
                        break;
                    };
                    number = number * 8 + digit.to_digit(8).unwrap_or_default();
                }
                char::from_u32(number).ok_or_else(invalid)
            }
            other if other.is_ascii() && !other.is_ascii_alphanumeric() => Ok(other),
            _ => Err(invalid()),
        }
    }

    /// A number after `\x`.
    fn hexadecimal(&mut self) -> Option<char> {
        let mut digits = String::new();
        if self.rest.next_if_eq(&'{').is_some() {
            loop {
                match self.rest.next()? {
                    '}' => break,
                    other => digits.push(other),
                }
            }
        } else {
            digits.extend([self.rest.next()?, self.rest.next()?]);
        }
        let is_number = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u32::from_str_radix(&digits, 16)
            .ok()
            .filter(|_| is_number)?;
        char::from_u32(number)
    }

    /// A class after `[`.
    fn class(&mut self) -> Result<(), String> {
        let mut class = String::from("[");
        if self.rest.next_if_eq(&'^').is_some() {
            class.push('^');
        }
        let mut is_first = true;
        loop {
            let next = self.rest.next().ok_or("a class is not closed")?;
            if next == ']' && !is_first {
                break;
            }
            is_first = false;
            if next == '['
                && let Some(name) = self.posix()
            {
                if !POSIX.contains(&name.trim_start_matches('^')) {
                    return Err(format!("`[:{name}:]` is not a class"));
                }
                let _ = write!(class, "[:{name}:]");
                continue;
            }
            if next == '\\'
                && let Some(set) = self.set()?
            {
                class.push_str(&set);
                continue;
            }
            let low = if next == '\\' {
                self.escaped_char()?
            } else {
                next
            };
            class.push_str(&character(low));
            let mut ahead = self.rest.clone();
            if ahead.next() == Some('-') && ahead.next().is_some_and(|after| after != ']') {
                self.rest.next();
                let after = self.rest.next().ok_or("a class is not closed")?;
                let high = if after == '\\' {
                    self.escaped_char()?
                } else {
                    after
                };
                if high < low {
                    return Err(format!("the range `{low}-{high}` is reversed"));
                }
                let _ = write!(class, "-{}", character(high));
            }
        }
        class.push(']');
        self.expression(&class);
        Ok(())
    }

    /// The name of a class such as `[:alpha:]`, after its first bracket. `None`, and nothing is
    /// read, if it is another character.
    fn posix(&mut self) -> Option<String> {
        let mut ahead = self.rest.clone();
        if ahead.next() != Some(':') {
            return None;
        }
        let mut name = String::new();
        loop {
            match ahead.next()? {
                ':' if ahead.peek() == Some(&']') => break,
                other => name.push(other),
            }
        }
        ahead.next();
        self.rest = ahead;
        Some(name)
    }
}

/// A literal character.
fn character(character: char) -> String {
    format!("\\x{{{:X}}}", u32::from(character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_in_go() {
        for (pattern, text, expected) in [
            ("b", "abc", true),
            ("^b", "a\nb", false),
            ("(?m)^b$", "a\nb\nc", true),
            ("a$", "a\n", false),
            ("a.b", "a\nb", false),
            ("(?s)a.b", "a\nb", true),
            (r"^\d$", "٣", false),
            (r"^\w+$", "é", false),
            (r"\s", "\u{b}", false),
            (r"\bé", "aé", true),
            ("(?i)ABC", "abc", true),
            ("a{2}", "aa", true),
            ("a{,2}", "a{,2}", true),
            ("a{x", "a{x", true),
            ("{", "{", true),
            ("}", "}", true),
            ("]", "]", true),
            ("[[]", "[", true),
            ("[]a]", "]", true),
            ("[^]a]", "]", false),
            ("[a&&b]", "&", true),
            ("[a~~]", "~", true),
            ("^[a-z-9]$", "-", true),
            ("^[a-]$", "-", true),
            (r"^[\d\-x]+$", "1-x", true),
            (r"^[^\S]$", " ", true),
            ("^[[:alpha:]_]+$", "a_", true),
            ("^[[:^alpha:]]+$", "12", true),
            (r"\Qa.b\E.", "a.bc", true),
            (r"\Qa.b\E.", "axbc", false),
            (r"\x41\x{42}\103", "ABC", true),
            (r"^\p{Greek}\PN\p{^N}$", "αaa", true),
            (r"\_\-\/\#\ ", "_-/# ", true),
            ("(?P<name>a)(?<other>b)", "ab", true),
            ("(?i:A)B", "aB", true),
            ("a#b c", "a#b c", true),
            ("^.$", "é", true),
            ("", "", true),
            ("a|", "x", true),
            (r"1\.2\.(\d+)", "1.2.34", true),
            ("a??b", "b", true),
        ] {
            let compiled = GoPattern::new(pattern).unwrap();
            assert_eq!(
                compiled.is_match(text.as_bytes()),
                expected,
                "{pattern} on {text:?}"
            );
            assert_eq!(compiled.to_string(), pattern);
        }
        let any = GoPattern::new("^..$").unwrap();
        assert!(any.is_match(b"\xff\xfe") && !any.is_match(b"\xff\xfe\xff"));
    }

    #[test]
    fn the_message_has_the_pattern_as_it_is_written() {
        for (pattern, reason) in [
            (r"a\q", r"the escape `\q` is not supported"),
            ("a**", "a repetition is repeated"),
            ("a|*", "`*` repeats nothing"),
            ("(", "unclosed group"),
            (r"\p{Nonsense}", "Unicode property not found"),
            (
                "((a{1000}){1000}){1000}",
                "Compiled regex exceeds size limit of 4194304 bytes.",
            ),
        ] {
            assert_eq!(
                GoPattern::new(pattern).unwrap_err(),
                format!("`{pattern}` is not a regular expression: {reason}")
            );
        }
    }

    #[test]
    fn patterns_that_go_refuses_are_refused() {
        for pattern in [
            "(",
            ")",
            "[",
            "[a",
            "*",
            "a**",
            "a+*",
            "a{1001}",
            "a{3,2}",
            "(*)",
            "a|*",
            r"\1",
            r"\q",
            r"\C",
            r"\E",
            r"\é",
            "(?x)a",
            "(?=a)",
            "(?!a)",
            "(?P=a)",
            "(?<=a)",
            "[z-a]",
            "[[:word]",
            "[[:other:]]",
            r"\p{Nonsense}",
            r"\",
            r"\x{110000}",
        ] {
            if pattern == "[[:word]" {
                // Without its end it is a class of characters.
                assert!(GoPattern::new(pattern).is_ok());
                continue;
            }
            assert!(GoPattern::new(pattern).is_err(), "{pattern}");
        }
    }
}
