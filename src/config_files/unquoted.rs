//! Finds strings without quotes, such as `name = app`. The parser reports such a word as an
//! invalid number or date.

use std::ops::Range;

use super::quoted::quoted;

/// A word that is not a TOML value, at a position where a value is expected.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unquoted<'t> {
    /// The key of the value; `None` in a list.
    key: Option<&'t str>,
    word: &'t str,
    pub(super) span: Range<usize>,
}

impl Unquoted<'_> {
    /// The assignment, or the item of a list, with quotes.
    pub(super) fn corrected(&self) -> String {
        match self.key {
            Some(key) => format!("{key} = {}", quoted(self.word)),
            None => quoted(self.word),
        }
    }
}

/// The number of bytes before and after the position in which the word is searched.
const REACH: usize = 400;

/// The word at `at`, if it needs quotes.
pub(super) fn find(text: &str, at: usize) -> Option<Unquoted<'_>> {
    let first = text.floor_char_boundary(at.saturating_sub(REACH));
    let line_start = text
        .get(first..at)?
        .rfind('\n')
        .map_or(first, |end| first + end + 1);
    let line = text[line_start..text.floor_char_boundary(at + REACH)]
        .lines()
        .next()?;
    let column = at - line_start;
    let ends_word = |c: char| matches!(c, ',' | '[' | ']' | '{' | '}' | '=' | '#');
    let start = line
        .get(..column)?
        .rfind(ends_word)
        .map_or(0, |before| before + 1);
    let end = line[start..]
        .find(ends_word)
        .map_or(line.len(), |length| start + length);
    let word = line[start..end].trim();
    let start = start + (line[start..end].len() - line[start..end].trim_start().len());
    let before = line[..start].trim_end();
    let begins = word.chars().next()?;
    let is_word =
        (begins.is_alphanumeric() || "/.~@$-_".contains(begins)) && !word.contains(['"', '\'']);
    let key = match before.chars().next_back() {
        Some('=') => before[..before.len() - 1]
            .rsplit([',', '{'])
            .next()
            .map(str::trim),
        Some('[' | ',') if !before.starts_with('[') => None,
        None if continues_list(&text[first..line_start]) => None,
        _ => return None,
    };
    let is_key = |key: &str| {
        !key.is_empty()
            && key
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_-.\"' ".contains(c))
    };
    let is_value = format!("value = {word}").parse::<toml::Table>().is_ok();
    (is_word && !is_value && key.is_none_or(is_key)).then(|| Unquoted {
        key,
        word,
        span: line_start + start..line_start + start + word.len(),
    })
}

/// True if a list is still open at the end of `above`.
fn continues_list(above: &str) -> bool {
    above.trim_end().ends_with(['[', ','])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The messages that `parse` reports for a text.
    fn reported(text: &str) -> Vec<String> {
        let mut found = crate::diagnostic::Diagnostics::new();
        super::super::document::parse(
            std::path::Path::new("image.toml"),
            super::super::document::SourceKind::Image,
            text,
            &mut found,
        );
        found
            .iter()
            .map(|diagnostic| diagnostic.message.clone())
            .collect()
    }

    #[test]
    fn a_string_without_quotes_is_shown_with_them() {
        for (text, expected) in [
            ("framework = none", "framework = \"none\""),
            ("[image]\nname = app\nversion = \"1.0.0\"", "name = \"app\""),
            ("version = 1.2.3", "version = \"1.2.3\""),
            ("base = debian:12 # comment", "base = \"debian:12\""),
            ("base = ghcr.io/team/app", "base = \"ghcr.io/team/app\""),
            ("target = /etc/motd", "target = \"/etc/motd\""),
            ("install = [curl, \"git\"]", "\"curl\""),
            ("install = [\n  \"git\",\n  curl,\n]", "\"curl\""),
            (
                "a = { content = hello, mode = \"0644\" }",
                "content = \"hello\"",
            ),
            ("value = true1", "value = \"true1\""),
            ("value = infinite", "value = \"infinite\""),
            ("a.b = yes", "a.b = \"yes\""),
            ("user = app user", "user = \"app user\""),
        ] {
            assert_eq!(
                reported(text),
                [format!("strings need quotes: {expected}")],
                "{text}"
            );
        }
    }

    #[test]
    fn other_mistakes_keep_their_message() {
        for text in [
            "[image",
            "name = ",
            "name = \"app",
            "= 1",
            "name \"app\"",
            "a = [1, 2",
            "a = {",
            "x = 'a",
        ] {
            let reported = reported(text);
            assert!(!reported.is_empty(), "{text}");
            assert!(
                reported
                    .iter()
                    .all(|message| !message.starts_with("strings need")),
                "{text}: {reported:?}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_and_no_position_makes_the_search_panic(text in "[a-z=\\[\\]{},\"# .\\n\u{e9}\u{1f600}-]{0,40}", at in 0_usize..60) {
            if let Some(found) = find(&text, at) {
                proptest::prop_assert_eq!(&text[found.span.clone()], found.word);
            }
        }
    }
}
