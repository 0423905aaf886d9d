//! Text tables with aligned columns.

use std::fmt;

use super::text::one_line;

/// A table whose columns are aligned by their width on a terminal: wide characters count as two
/// columns.
#[derive(Debug, Clone, Default)]
pub struct TextTable {
    rows: Vec<Vec<String>>,
}

impl TextTable {
    /// Creates a table with a row of headings.
    pub fn new(headings: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let mut table = Self::default();
        table.row(headings);
        table
    }

    /// Adds a row. Rows may have different numbers of cells.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) -> &mut Self {
        self.rows.push(
            cells
                .into_iter()
                .map(|cell| one_line(&cell.into()).into_owned())
                .collect(),
        );
        self
    }
}

impl fmt::Display for TextTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut widths = Vec::new();
        for row in &self.rows {
            widths.resize(row.len().max(widths.len()), 0);
            for (cell, width) in row.iter().zip(&mut widths) {
                *width = console::measure_text_width(cell).max(*width);
            }
        }
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let padding = width + 2 - console::measure_text_width(cell);
                line.extend([cell.as_str(), &" ".repeat(padding)]);
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_have_no_trailing_spaces() {
        let mut table = TextTable::new(["TAG", "DIGEST", "CREATED"]);
        table
            .row(["1.2.3-alpine", "sha256:12ab", ""])
            .row(["漢字", "sha256:34cd", "2024-05-06"])
            .row(["a\nb"]);
        insta::assert_snapshot!(table.to_string(), @r"
        TAG           DIGEST       CREATED
        1.2.3-alpine  sha256:12ab
        漢字          sha256:34cd  2024-05-06
        a\nb
        ");
    }
}
