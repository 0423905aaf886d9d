//! Text from outside made fit for a terminal, and numbers for people.

use std::borrow::Cow;

/// `text` with control characters and those that change the direction of writing shown as escapes, so that what
/// a registry, an engine or a file says cannot move the cursor or reorder a line. Newlines and tabs stay.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return text.into();
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_unsafe(character) {
            safe.extend(character.escape_default());
        } else {
            safe.push(character);
        }
    }
    safe.into()
}

/// The same on one line: newlines and tabs are shown as escapes, too.
#[must_use]
pub fn one_line(text: &str) -> Cow<'_, str> {
    let safe = visible(text);
    if safe.contains(['\n', '\t']) { safe.replace('\n', "\\n").replace('\t', "\\t").into() } else { safe }
}

fn is_unsafe(character: char) -> bool {
    let reorders =
        matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    reorders || (character.is_control() && !matches!(character, '\n' | '\t'))
}

/// A number of bytes for people, in powers of 1000 with one decimal: `12.3 MB`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `1 error`, `2 errors`.
#[must_use]
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_moves_the_cursor() {
        assert_eq!(visible("plain\nüber\t漢"), "plain\nüber\t漢");
        assert_eq!(visible("a\u{1b}[31mb\r\u{202e}c"), "a\\u{1b}[31mb\\r\\u{202e}c");
        assert_eq!(one_line("a\nb\tc"), "a\\nb\\tc");
    }

    #[test]
    fn bytes_for_people() {
        let table = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (12_345_678, "12.3 MB"),
        ];
        for (count, text) in table {
            assert_eq!(bytes(count), text);
        }
    }
}
