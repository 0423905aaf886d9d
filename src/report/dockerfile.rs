//! Colours a Dockerfile for a terminal: keywords, comments and strings.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use crate::render::heredoc;

/// A Dockerfile with colours. Without them, the text is unchanged. The content of heredocs has no
/// colours.
#[must_use]
pub fn colored(dockerfile: &str) -> String {
    let mut out = String::with_capacity(dockerfile.len() * 2);
    let mut instruction = String::new();
    let mut is_quoted = false;
    let mut lines = dockerfile.split_inclusive('\n');
    while let Some(line) = lines.next() {
        let (text, end) = split_end(line);
        if text.starts_with('#') {
            paint(&mut out, text, AnsiColor::BrightBlack.on_default());
            out.push_str(end);
            continue;
        }
        let rest = if instruction.is_empty() {
            let (keyword, rest) = text.split_at(text.find(' ').unwrap_or(text.len()));
            paint(&mut out, keyword, AnsiColor::Blue.on_default().bold());
            rest
        } else {
            text
        };
        paint_strings(&mut out, rest, &mut is_quoted);
        out.push_str(end);
        if let Some(start) = text.strip_suffix('\\') {
            instruction.push_str(start);
            continue;
        }
        instruction.push_str(text);
        is_quoted = false;
        for delimiter in heredoc::opened_by(&std::mem::take(&mut instruction)) {
            for line in lines.by_ref() {
                let (text, end) = split_end(line);
                let is_end = heredoc::is_end(text, &delimiter);
                let style = if is_end {
                    AnsiColor::Blue.on_default()
                } else {
                    Style::new()
                };
                paint(&mut out, text, style);
                out.push_str(end);
                if is_end {
                    break;
                }
            }
        }
    }
    out
}

/// A line without its end, and the end.
fn split_end(line: &str) -> (&str, &str) {
    line.split_at(line.trim_end_matches('\n').len())
}

fn paint(out: &mut String, text: &str, style: Style) {
    if text.is_empty() || style == Style::new() {
        out.push_str(text);
    } else {
        // Writing to a string does not fail.
        let _ = write!(out, "{style}{text}{style:#}");
    }
}

/// Writes a line with colours for the texts between double quotes. `is_quoted` is true if the line
/// begins within such a text.
fn paint_strings(out: &mut String, line: &str, is_quoted: &mut bool) {
    let style = AnsiColor::Green.on_default();
    let (mut start, mut is_escaped) = (0, false);
    for (at, c) in line.char_indices() {
        match c {
            _ if std::mem::take(&mut is_escaped) => {}
            '\\' => is_escaped = true,
            '"' if *is_quoted => {
                paint(out, &line[start..=at], style);
                start = at + 1;
                *is_quoted = false;
            }
            '"' => {
                out.push_str(&line[start..at]);
                start = at;
                *is_quoted = true;
            }
            _ => {}
        }
    }
    let rest = &line[start..];
    paint(out, rest, if *is_quoted { style } else { Style::new() });
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# a \"b\"\nFROM x\n\nRUN --mount=a \\\n  b <<EOR\nLABEL \"x\"\n# y\nEOR\n\n\
                        LABEL a=\"b \\\" c \\\nd\" e=\"f\"\nCMD [\"x\"]";

    #[test]
    fn keywords_comments_and_strings_have_colours() {
        let shown = colored(TEXT)
            .replace("\u{1b}[90m", "<comment>")
            .replace("\u{1b}[1m\u{1b}[34m", "<keyword>")
            .replace("\u{1b}[34m", "<end>")
            .replace("\u{1b}[32m", "<string>")
            .replace("\u{1b}[0m", "</>");
        insta::assert_snapshot!(shown, @r##"
        <comment># a "b"</>
        <keyword>FROM</> x

        <keyword>RUN</> --mount=a \
          b <<EOR
        LABEL "x"
        # y
        <end>EOR</>

        <keyword>LABEL</> a=<string>"b \" c \</>
        <string>d"</> e=<string>"f"</>
        <keyword>CMD</> [<string>"x"</>]
        "##);
    }

    #[test]
    fn colours_do_not_change_the_text() {
        let plain = console::strip_ansi_codes(&colored(TEXT)).into_owned();
        assert_eq!(plain, TEXT);
    }
}
