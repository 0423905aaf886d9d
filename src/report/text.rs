//! Makes external text safe for a terminal, and formats numbers.

use std::borrow::Cow;

use crate::config_files::byte_size::ByteSize;

/// Escapes control characters, invisible characters and characters that change the direction of
/// text. So text of a registry, an engine or a file cannot move the cursor, reorder a line or hide
/// a part of it. Newlines and tabs are not changed.
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

/// The output of a program like [`visible`], but without the sequences that colour a terminal.
#[must_use]
pub fn uncoloured(output: &str) -> String {
    visible(&console::strip_ansi_codes(output)).into_owned()
}

/// Like [`visible`], but also escapes newlines and tabs.
#[must_use]
pub fn one_line(text: &str) -> Cow<'_, str> {
    let safe = visible(text);
    if safe.contains(['\n', '\t']) {
        safe.replace('\n', "\\n").replace('\t', "\\t").into()
    } else {
        safe
    }
}

/// Replaces the characters that [`visible`] escapes by harmless characters of the same length in
/// bytes, so that offsets do not change. A carriage return before a newline is not changed.
#[must_use]
pub fn masked(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return text.into();
    }
    let mut safe = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\r' if characters.peek() == Some(&'\n') => safe.push(character),
            _ if !is_unsafe(character) => safe.push(character),
            _ => safe.push_str(match character.len_utf8() {
                1 => "?",
                2 => "\u{b7}",
                3 => "\u{fffd}",
                _ => "\u{fffd}?",
            }),
        }
    }
    safe.into()
}

/// Writes the characters that [`visible`] escapes as `\u` escapes in a JSON document. Its meaning
/// does not change.
#[must_use]
pub fn escaped_json(document: &str) -> Cow<'_, str> {
    if !document.chars().any(is_unsafe) {
        return document.into();
    }
    let mut safe = String::with_capacity(document.len() + 8);
    for character in document.chars() {
        if is_unsafe(character) {
            safe.extend(
                character
                    .encode_utf16(&mut [0; 2])
                    .iter()
                    .map(|unit| format!("\\u{unit:04x}")),
            );
        } else {
            safe.push(character);
        }
    }
    safe.into()
}

fn is_unsafe(character: char) -> bool {
    let is_hidden = matches!(character,
        // Soft hyphen, and the bidirectional marks that reorder text.
        '\u{ad}' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
        // Zero-width characters, line separators, operators, and deprecated format characters.
        | '\u{180e}' | '\u{200b}'..='\u{200d}' | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{206f}'
        | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}');
    is_hidden || (character.is_control() && !matches!(character, '\n' | '\t'))
}

/// Formats a number of bytes: `12.3 MB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    ByteSize(count).to_string()
}

/// Formats a growth in bytes with its sign: `+1.5 MB`.
#[must_use]
pub fn growth(change: i128) -> String {
    let number = u64::try_from(change.unsigned_abs()).unwrap_or(u64::MAX);
    let sign = if change < 0 { '-' } else { '+' };
    format!("{sign}{}", bytes(number))
}

/// Formats a duration: `1.2 s`, or `3 min 5 s` from a minute on.
#[must_use]
pub fn duration(time: std::time::Duration) -> String {
    match time.as_secs() {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

/// Formats a number with a noun: `1 error`, `2 errors`.
#[must_use]
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Formats the number of things that are not shown: `1 more file`, `2 more files`.
#[must_use]
pub fn more(number: usize, noun: &str) -> String {
    count(number, &format!("more {noun}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_moves_the_cursor() {
        assert_eq!(visible("plain\nüber\t漢"), "plain\nüber\t漢");
        assert_eq!(
            visible("a\u{1b}[31mb\r\u{202e}c"),
            "a\\u{1b}[31mb\\r\\u{202e}c"
        );
        assert_eq!(
            uncoloured("\u{1b}[34mINFO\u{1b}[0m\ta\u{1b}b"),
            "INFO\ta\\u{1b}b"
        );
        assert_eq!(one_line("a\nb\tc"), "a\\nb\\tc");
        for hidden in [
            "\u{9b}",
            "\u{85}",
            "\u{200b}",
            "\u{2066}",
            "\u{feff}",
            "\u{61c}",
            "\u{e0041}",
            "\u{2028}",
        ] {
            let text = format!("a{hidden}b");
            assert!(visible(&text).is_ascii(), "{text:?}");
            let masked = masked(&text);
            assert!(
                masked.len() == text.len() && !masked.contains(hidden),
                "{text:?}"
            );
            let json = serde_json::to_string(&text).unwrap();
            let escaped = escaped_json(&json);
            assert!(escaped.is_ascii(), "{escaped}");
            assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
        }
        assert_eq!(masked("a\r\n\tb\rc"), "a\r\n\tb?c");
    }
}
