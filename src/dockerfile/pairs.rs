//! The pairs of `ENV` and `LABEL`: `KEY=VALUE …`, or the older `KEY VALUE`.

use super::{ErrorKind, Instruction};

/// A key and a value, with their quotes and variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
}

impl Instruction {
    /// The pairs of `ENV` and `LABEL`. Fails if a word is not a pair.
    pub fn pairs(&self, escape: char) -> Result<Vec<Pair>, ErrorKind> {
        let pair = |(key, value): (&str, &str)| Pair {
            key: key.to_owned(),
            value: value.to_owned(),
        };
        let words = words(&self.arguments, escape);
        let first = words.first().ok_or(ErrorKind::NoArguments(self.keyword))?;
        if !first.contains('=') {
            let blank = |c: char| c.is_ascii_whitespace() || c == '\u{b}';
            let (key, value) = self
                .arguments
                .split_once(blank)
                .ok_or_else(|| ErrorKind::NoPair(first.clone()))?;
            return Ok(vec![pair((key, value.trim_start_matches(blank)))]);
        }
        let split = |word: &String| match word.split_once('=') {
            Some(("", _)) | None => Err(ErrorKind::NoPair(word.clone())),
            Some(found) => Ok(pair(found)),
        };
        words.iter().map(split).collect()
    }

    /// The names and defaults of `ARG`.
    #[must_use]
    pub fn build_arguments(&self, escape: char) -> Vec<(String, Option<String>)> {
        let words = words(&self.arguments, escape);
        let split = |word: &String| match word.split_once('=') {
            Some((name, default)) => (name.to_owned(), Some(default.to_owned())),
            None => (word.clone(), None),
        };
        words.iter().map(split).collect()
    }
}

/// The words of a line, with their quotes. A blank in quotes or after the escape character does not
/// end a word.
fn words(line: &str, escape: char) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        if quote.is_none() && c.is_whitespace() {
            words.push(String::new());
            continue;
        }
        match (c, quote) {
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            _ => {}
        }
        let Some(word) = words.last_mut() else {
            continue;
        };
        if c == escape && quote != Some('\'') {
            // An escape character at the end escapes nothing.
            if let Some(next) = chars.next() {
                word.extend([c, next]);
            }
        } else {
            word.push(c);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
