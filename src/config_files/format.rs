//! Formats golden.toml and image.toml in one layout. Comments, the order of keys and tables, and the
//! notation of strings and numbers are kept.

use std::fmt::Write as _;

use toml_edit::{Array, Decor, DocumentMut, InlineTable, Item, KeyMut, Table, TomlError, Value};

/// The length of the longest line with an array. A longer array has one line per element.
const LONGEST_LINE: usize = 100;
/// The indentation of an element of an array.
const INDENT: usize = 4;

/// The text of a spec file in the standard layout. Fails if `text` is not TOML.
pub fn format(text: &str) -> Result<String, TomlError> {
    let mut document: DocumentMut = text.replace("\r\n", "\n").parse()?;
    let end = comments(
        &format!("{}\n", raw(document.trailing())),
        BlankLines::AsWritten,
    );
    let table = document.as_table_mut();
    let mut layout = FormatState {
        first_header: if values(table) { None } else { position(table) },
    };
    layout.entries(table, "");
    document
        .set_trailing(end.trim_end().to_owned() + if end.trim().is_empty() { "" } else { "\n" });
    Ok(document.to_string())
}

/// The blank lines before a comment, a key or a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BlankLines {
    /// None: it is the first line of its table or of the file.
    None,
    /// One if there is at least one.
    AsWritten,
    /// Always one.
    One,
}

/// The state of formatting a file.
struct FormatState {
    /// The position of the first header, if no key comes before it.
    first_header: Option<isize>,
}

impl FormatState {
    /// Formats the keys of a table, and the tables below it. `path` is the start of dotted keys.
    fn entries(&mut self, table: &mut Table, path: &str) {
        let mut gap = if path.is_empty() {
            BlankLines::None
        } else {
            BlankLines::AsWritten
        };
        for (mut key, item) in table.iter_mut() {
            let name = format!("{path}{}", key.display_repr());
            match item {
                Item::None => {}
                Item::Value(value) => {
                    entry(&mut key, value, path, gap);
                    gap = BlankLines::AsWritten;
                }
                Item::Table(inner) if inner.is_dotted() => {
                    key.fmt();
                    self.entries(inner, &format!("{name}."));
                    gap = BlankLines::AsWritten;
                }
                Item::Table(inner) => {
                    key.fmt();
                    self.table(inner);
                }
                Item::ArrayOfTables(tables) => {
                    key.fmt();
                    tables.iter_mut().for_each(|inner| self.table(inner));
                }
            }
        }
    }

    /// Formats a table with a header.
    fn table(&mut self, table: &mut Table) {
        if !table.is_implicit() {
            let is_first = table.position() == self.first_header;
            let gap = if is_first {
                BlankLines::None
            } else {
                BlankLines::One
            };
            let decor = table.decor_mut();
            let before = comments(decor.prefix().map_or("", raw), gap);
            let after = decor.suffix().map_or("", raw);
            let blanks = after.len() - after.trim_start().len();
            let after = comment_after(after, blanks);
            *decor = Decor::new(before, after);
        }
        self.entries(table, "");
    }
}

/// True if a table has keys of its own.
fn values(table: &Table) -> bool {
    table.iter().any(|(_, item)| match item {
        Item::Value(_) => true,
        Item::Table(inner) => inner.is_dotted(),
        Item::None | Item::ArrayOfTables(_) => false,
    })
}

/// The position of the first header in a table.
fn position(table: &Table) -> Option<isize> {
    let of_item = |item: &Item| match item {
        Item::Table(inner) => position(inner).into_iter().chain(inner.position()).min(),
        Item::ArrayOfTables(tables) => tables.iter().filter_map(Table::position).min(),
        Item::None | Item::Value(_) => None,
    };
    table.iter().filter_map(|(_, item)| of_item(item)).min()
}

/// The text of white space and comments.
fn raw(text: &toml_edit::RawString) -> &str {
    text.as_str().unwrap_or_default()
}

/// Formats the comments before a key or a header. `text` ends with the indentation.
fn comments(text: &str, gap: BlankLines) -> String {
    let mut lines: Vec<&str> = text.split('\n').map(str::trim).collect();
    lines.pop();
    let (mut out, mut blank) = (String::new(), gap == BlankLines::One);
    for line in lines {
        if line.is_empty() {
            blank |= gap != BlankLines::None || !out.is_empty();
            continue;
        }
        if std::mem::take(&mut blank) {
            out.push('\n');
        }
        out.push_str(line);
        out.push('\n');
    }
    if blank {
        out.push('\n');
    }
    out
}

/// The comment at the end of a line, after `blanks` or at least one blank. Empty without a comment.
fn comment_after(text: &str, blanks: usize) -> String {
    let comment = text.trim();
    if comment.is_empty() {
        return String::new();
    }
    format!("{}{comment}", " ".repeat(blanks.max(1)))
}

/// Formats `key = value`. A comment after it keeps its column if possible.
fn entry(key: &mut KeyMut<'_>, value: &mut Value, path: &str, gap: BlankLines) {
    let decor = key.leaf_decor();
    let before = decor.prefix().map_or("", raw).to_owned();
    let indentation = before.rsplit('\n').next().unwrap_or_default();
    let start = indentation.len() + width(path) + width(&key.display_repr());
    let written = start + decor.suffix().map_or(0, |text| raw(text).len()) + 1;
    let column = written + width(&text_before_comment(value));
    let after = value.decor().suffix().map_or("", raw).to_owned();
    let column = column + after.len() - after.trim_start().len();

    key.fmt();
    *key.leaf_decor_mut() = Decor::new(comments(&before, gap), " ");
    let start = width(path) + width(&key.display_repr()) + " = ".len();
    format_value(value, start, 0);
    value.decor_mut().set_prefix(" ");
    value.decor_mut().set_suffix("");
    let end = start + width(value.to_string().trim_start());
    let after = comment_after(&after, column.saturating_sub(end));
    value.decor_mut().set_suffix(after);
}

/// The last line of a value with the blanks before it.
fn text_before_comment(value: &Value) -> String {
    let mut value = value.clone();
    value.decor_mut().set_suffix("");
    value.to_string()
}

/// The width of the last line of a text, in characters.
fn width(text: &str) -> usize {
    text.rsplit('\n').next().unwrap_or_default().chars().count()
}

/// Formats the inside of a value that begins at a column. `indent` is the indentation of its line.
fn format_value(value: &mut Value, start: usize, indent: usize) {
    match value {
        Value::Array(array) => format_array(array, start, indent),
        Value::InlineTable(table) => format_inline(table, start, indent),
        Value::String(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Datetime(_) => {}
    }
}

/// Formats an inline table on one line. One with line breaks or dotted keys is not changed.
fn format_inline(table: &mut InlineTable, start: usize, indent: usize) {
    let is_dotted =
        |(_, value): (&str, &Value)| value.as_inline_table().is_some_and(InlineTable::is_dotted);
    if table.to_string().contains('\n') || table.iter().any(is_dotted) {
        return;
    }
    let last = table.len().saturating_sub(1);
    for (n, (mut key, value)) in table.iter_mut().enumerate() {
        key.fmt();
        *key.leaf_decor_mut() = Decor::new(" ", " ");
        format_value(value, start, indent);
        *value.decor_mut() = Decor::new(" ", if n == last { " " } else { "" });
    }
    table.set_trailing("");
    table.set_trailing_comma(false);
}

/// Formats an array: on one line if it has no comments and fits, else with one line per element.
fn format_array(array: &mut Array, start: usize, indent: usize) {
    for value in array.iter_mut() {
        format_value(value, indent + INDENT, indent + INDENT);
    }
    let has_comment = has_comment(array);
    let mut one_line = array.clone();
    for (n, value) in one_line.iter_mut().enumerate() {
        *value.decor_mut() = Decor::new(if n == 0 { "" } else { " " }, "");
    }
    one_line.set_trailing("");
    one_line.set_trailing_comma(false);
    let text = one_line.to_string();
    let fits = !text.trim().contains('\n') && start + width(text.trim()) <= LONGEST_LINE;
    if !has_comment && fits {
        *array = one_line;
    } else {
        one_line_per_element(array, indent);
    }
}

/// True if an array has a comment between its elements.
fn has_comment(array: &Array) -> bool {
    let decors = array.iter().map(Value::decor);
    let texts = decors.flat_map(|decor| [decor.prefix(), decor.suffix()]);
    let mut all = texts.flatten().chain([array.trailing()]);
    all.any(|text| raw(text).contains('#'))
}

/// Formats an array with one line per element. Comments stay after or above their element.
fn one_line_per_element(array: &mut Array, indent: usize) {
    let inner = " ".repeat(indent + INDENT);
    let lines = |text: &str| {
        let mut parts = text.split('\n').map(str::trim);
        let mut out = parts
            .next()
            .map_or_else(String::new, |same| comment_after(same, 1));
        for comment in parts.filter(|line| !line.is_empty()) {
            // Writing into a String cannot fail.
            let _ = write!(out, "\n{inner}{comment}");
        }
        out
    };
    // A comment between an element and its comma moves behind the comma.
    let mut carried = String::new();
    for value in array.iter_mut() {
        let decor = value.decor_mut();
        let before = std::mem::take(&mut carried) + decor.prefix().map_or("", raw);
        decor.suffix().map_or("", raw).clone_into(&mut carried);
        *decor = Decor::new(format!("{}\n{inner}", lines(&before)), "");
    }
    let end = lines(&(carried + raw(array.trailing())));
    array.set_trailing(format!("{end}\n{}", " ".repeat(indent)));
    array.set_trailing_comma(!array.is_empty());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MESSY: &str = r#"

  # The workspace.


[ image ]   # one image
name="app"
   version   = '1.2.3'         # the version
"base" = { ref="docker.io/library/debian" ,version = "12"}


# Two platforms.
platforms = [ "linux/amd64",
  "linux/arm64" ]   
[labels]

"with space" = "a"
plain.dotted="b"
[[files]]
content = """
  kept
"""
target="/x"
[packages]
install = [
  "curl", # for the check
  # a comment
  "git"  # last
]
remove = ["a-package-with-a-long-name", "another-package-with-a-long-name", "a-third-package-with-a-long-name"]
# The end.


"#;

    #[test]
    fn a_file_gets_the_standard_layout() {
        insta::assert_snapshot!(format(MESSY).unwrap(), @r#"
        # The workspace.

        [image]   # one image
        name = "app"
        version = '1.2.3'              # the version
        base = { ref = "docker.io/library/debian", version = "12" }

        # Two platforms.
        platforms = ["linux/amd64", "linux/arm64"]

        [labels]
        "with space" = "a"
        plain.dotted = "b"

        [[files]]
        content = """
          kept
        """
        target = "/x"

        [packages]
        install = [
            "curl", # for the check
            # a comment
            "git", # last
        ]
        remove = [
            "a-package-with-a-long-name",
            "another-package-with-a-long-name",
            "a-third-package-with-a-long-name",
        ]
        # The end.
        "#);
    }

    #[test]
    fn line_endings_and_the_end_of_the_file_are_the_same_everywhere() {
        for (text, expected) in [
            ("", ""),
            ("\r\n\r\n", ""),
            ("a = 1", "a = 1\n"),
            ("a=1\r\n# end", "a = 1\n# end\n"),
            ("\n\n[a]\n\n\n[b]", "[a]\n\n[b]\n"),
            ("# head\n\n\n[a.b]", "# head\n\n[a.b]\n"),
            ("x = 1\n[a]\n", "x = 1\n\n[a]\n"),
            ("a = [ # none\n]\n", "a = [ # none\n]\n"),
            ("a = [1 # one\n, 2]", "a = [\n    1, # one\n    2,\n]\n"),
            ("a=1    # c\nbb=2   # d\n", "a = 1  # c\nbb = 2 # d\n"),
        ] {
            assert_eq!(format(text).unwrap(), expected, "{text:?}");
        }
        assert!(format("a = [").is_err());
    }

    proptest! {
        #[test]
        fn a_second_time_changes_nothing_and_the_content_stays(
            pieces in prop::collection::vec(prop::sample::select(vec![
                "[a]\n", "[a.b]\n", "[[c]]\n", "[[c.d]]\n", "k = 1\n", "l=\"x\" # c\n", "  # c\n", "\n", "m = [1,\n2 # c\n]\n",
                "n = {x=1, y = [1 , 2]}\n", "o.p = 1\n", "o . q = '''\na\n'''\n", "[\"e f\"] # c\n", "r = [\n# c\n]\n", "s = [[1,2],[3]]\n",
            ]), 0..12),
        ) {
            let text = pieces.concat();
            if let Ok(before) = text.parse::<toml::Table>() {
                let formatted = format(&text)?;
                prop_assert_eq!(format(&formatted)?, formatted.clone());
                let after: toml::Table = formatted.parse()?;
                prop_assert_eq!(after, before, "{}", formatted);
                prop_assert_eq!(formatted.matches("# c").count(), text.matches("# c").count());
            }
        }
    }
}
