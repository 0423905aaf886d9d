//! Renders Markdown for a terminal. It supports only what the guide uses: headings, paragraphs,
//! lists, tables and code.

use std::fmt::Write as _;

/// Maximum width of the text in columns. Longer lines are hard to read.
const MAX_WIDTH: usize = 100;

/// The layout options of rendered text.
#[derive(Debug, Clone, Copy)]
pub struct TextStyle {
    /// Width of the terminal in columns.
    pub width: usize,
    /// True if the output may use bold and coloured text.
    pub color: bool,
}

/// Renders a chapter of the guide.
#[must_use]
pub fn render(text: &str, style: TextStyle) -> String {
    let style = TextStyle {
        width: style.width.clamp(40, MAX_WIDTH),
        ..style
    };
    let mut out = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with("```") {
            let code = lines.by_ref().take_while(|line| !line.starts_with("```"));
            for line in code {
                let _ = writeln!(out, "    {}", styled(line, style, "2"));
            }
        } else if let Some(heading) = line.strip_prefix('#') {
            let heading = inline(
                heading.trim_start_matches('#').trim(),
                TextStyle {
                    color: false,
                    ..style
                },
            );
            let _ = writeln!(out, "{}", styled(&heading, style, "1"));
        } else if let Some(alternative) = picture(line) {
            wrap(&mut out, "", &format!("[picture: {alternative}]"), style);
        } else if line.starts_with('|') {
            let mut rows = vec![cells(line)];
            while let Some(row) = lines.next_if(|line| line.starts_with('|')) {
                rows.push(cells(row));
            }
            table(&mut out, rows, style);
        } else if line.is_empty() {
            out.push('\n');
        } else {
            let mut paragraph = line.to_owned();
            while let Some(more) = lines.next_if(|line| continues(line)) {
                let _ = write!(paragraph, " {}", more.trim());
            }
            let (marker, rest) = marker(&paragraph);
            wrap(&mut out, marker, rest, style);
        }
    }
    out
}

/// The alternative text of a line that is a picture.
fn picture(line: &str) -> Option<&str> {
    let (alternative, _) = line
        .strip_prefix("![")?
        .strip_suffix(')')?
        .split_once("](")?;
    Some(alternative)
}

/// True if a line belongs to the paragraph before it.
fn continues(line: &str) -> bool {
    !line.is_empty() && !line.starts_with(['#', '|', '`']) && marker(line).0.is_empty()
        || line.starts_with('`') && !line.starts_with("```")
}

/// Splits the bullet or the number of a list item from its text.
fn marker(line: &str) -> (&str, &str) {
    if let Some(rest) = line.strip_prefix("- ") {
        return ("- ", rest);
    }
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    if digits > 0 && line[digits..].starts_with(". ") {
        line.split_at(digits + 2)
    } else {
        ("", line)
    }
}

/// Writes a paragraph, broken into lines that fit the width. All lines are indented to the text of
/// the first line.
fn wrap(out: &mut String, marker: &str, text: &str, style: TextStyle) {
    let lines = fill(text, style.width - marker.len());
    let blank = " ".repeat(marker.len());
    for (index, line) in lines.iter().enumerate() {
        let front = if index == 0 { marker } else { &blank };
        let _ = writeln!(out, "{front}{}", inline(line, style));
    }
}

/// Breaks text between words into lines of at most `width` columns. Code is not broken.
fn fill(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in words(text) {
        let Some(last) = lines.last_mut() else {
            continue;
        };
        let used = shown(last);
        if used > 0 && used + 1 + shown(&word) > width {
            lines.push(word);
        } else {
            if used > 0 {
                last.push(' ');
            }
            last.push_str(&word);
        }
    }
    lines
}

/// Splits text at spaces, except inside code.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut code) = (Vec::new(), String::new(), false);
    for character in text.chars() {
        code ^= character == '`';
        if character == ' ' && !code {
            words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
        } else {
            word.push(character);
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

/// The width of a text in columns, without its Markdown marks.
fn shown(text: &str) -> usize {
    console::measure_text_width(&text.replace(['`', '*'], "").replace("\\|", "|"))
}

/// Replaces the Markdown marks for code, bold and emphasised text.
fn inline(text: &str, style: TextStyle) -> String {
    let mut out = String::new();
    let mut parts = text.split('`');
    while let Some(plain) = parts.next() {
        let mut strong = false;
        for piece in plain.split("**") {
            let piece = piece.replace('*', "").replace("\\|", "|");
            out.push_str(&if strong {
                styled(&piece, style, "1")
            } else {
                piece
            });
            strong = !strong;
        }
        if let Some(code) = parts.next() {
            out.push_str(&styled(&code.replace("\\|", "|"), style, "36"));
        }
    }
    out
}

/// Adds a terminal attribute (ECMA-48, SGR) to a text.
fn styled(text: &str, style: TextStyle, attribute: &str) -> String {
    if style.color && !text.is_empty() {
        format!("\u{1b}[{attribute}m{text}\u{1b}[0m")
    } else {
        text.to_owned()
    }
}

/// The cells of a row. `\|` does not end a cell.
fn cells(row: &str) -> Vec<String> {
    let hidden = row.trim().trim_matches('|').replace("\\|", "\u{0}");
    hidden
        .split('|')
        .map(|cell| cell.trim().replace('\u{0}', "\\|"))
        .collect()
}

/// Writes a table. The last column gets the rest of the width, and its text is wrapped.
fn table(out: &mut String, mut rows: Vec<Vec<String>>, style: TextStyle) {
    rows.retain(|row| {
        !row.iter()
            .all(|cell| !cell.is_empty() && cell.bytes().all(|byte| byte == b'-'))
    });
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let natural = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| shown(cell))
            .max()
            .unwrap_or_default()
    };
    let share = style.width / columns.max(1);
    let widths: Vec<usize> = (0..columns)
        .map(|column| natural(column).min(share.max(18)))
        .collect();
    let front: usize = widths
        .iter()
        .take(columns.saturating_sub(1))
        .map(|width| width + 2)
        .sum();
    let last = style.width.saturating_sub(front).max(20);
    for (index, row) in rows.iter().enumerate() {
        let wrapped: Vec<Vec<String>> = row
            .iter()
            .enumerate()
            .map(|(column, cell)| {
                fill(
                    cell,
                    if column + 1 == columns {
                        last
                    } else {
                        widths[column]
                    },
                )
            })
            .collect();
        for line in 0..wrapped.iter().map(Vec::len).max().unwrap_or_default() {
            let mut text = String::new();
            for (column, cell) in wrapped.iter().enumerate() {
                let piece = cell.get(line).map_or("", String::as_str);
                let set = inline(piece, style);
                let set = if index == 0 {
                    styled(
                        &inline(
                            piece,
                            TextStyle {
                                color: false,
                                ..style
                            },
                        ),
                        style,
                        "1",
                    )
                } else {
                    set
                };
                text.push_str(&set);
                if column + 1 < wrapped.len() {
                    text.push_str(&" ".repeat((widths[column] + 2).saturating_sub(shown(piece))));
                }
            }
            let _ = writeln!(out, "{}", text.trim_end());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# Title\n\nA paragraph with `code in one piece` and **bold** text that is\nlong enough to need a second line.\n\n- one item that is also long enough to be continued below its own text\n- two\n\n| key | meaning |\n|---|---|\n| `a` | a \\| b, and a long explanation that does not fit into one line of this table |\n| `long_name` | short |\n\n```sh\nls   -l\n```\n";

    #[test]
    fn a_page_is_rendered_without_colour() {
        let text = render(
            PAGE,
            TextStyle {
                width: 50,
                color: false,
            },
        );
        insta::assert_snapshot!(text, @r"
        Title

        A paragraph with code in one piece and bold text
        that is long enough to need a second line.

        - one item that is also long enough to be
          continued below its own text
        - two

        key        meaning
        a          a | b, and a long explanation that does
                   not fit into one line of this table
        long_name  short

            ls   -l
        ");
        assert!(text.lines().all(|line| line.chars().count() <= 50));
    }

    #[test]
    fn a_picture_is_its_alternative_text() {
        let style = TextStyle {
            width: 40,
            color: false,
        };
        let text = render(
            "A\n\n![The table of a report, with twelve images](a.webp)\n\nB\n",
            style,
        );
        insta::assert_snapshot!(text, @r"
        A

        [picture: The table of a report, with
        twelve images]

        B
        ");
    }

    #[test]
    fn colour_does_not_change_the_layout() {
        let plain = render(
            PAGE,
            TextStyle {
                width: 60,
                color: false,
            },
        );
        let colored = render(
            PAGE,
            TextStyle {
                width: 60,
                color: true,
            },
        );
        assert_ne!(plain, colored);
        assert_eq!(console::strip_ansi_codes(&colored), plain);
    }
}
