//! The summary and the outputs of a step of GitHub Actions (docs.github.com, "Workflow commands").

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;

use super::summary::{COLUMNS, rows, totals};
use super::text::visible;
use crate::app::pipeline::ImageReport;
use crate::publish::Receipt;

/// The text for `$GITHUB_STEP_SUMMARY`: the table of the run, in Markdown, with the digests.
#[must_use]
pub fn markdown(reports: &[ImageReport], elapsed: Duration) -> String {
    let mut text = "### golden\n\n".to_owned();
    let mut line = |cells: &[String]| {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    };
    line(&COLUMNS.map(str::to_lowercase));
    line(&COLUMNS.map(|_| "---".to_owned()));
    for row in rows(reports) {
        line(&row.map(|cell| escaped(&cell)));
    }
    let digests = reports.iter().flat_map(|report| &report.receipts);
    let mut digests: Vec<String> = digests
        .map(|receipt| format!("- `{}@{}`\n", receipt.repository, receipt.digest))
        .collect();
    digests.dedup();
    if !digests.is_empty() {
        let _ = write!(text, "\n{}", digests.concat());
    }
    if let Some(totals) = totals(reports, elapsed) {
        let _ = write!(text, "\n{}\n", escaped(&totals));
    }
    text
}

/// The lines for `$GITHUB_OUTPUT`. `images` is a JSON list of the images that the registries have
/// now, by digest; `published` is true if a tag was created or moved.
#[must_use]
pub fn outputs(reports: &[ImageReport]) -> String {
    let receipts = || reports.iter().flat_map(|report| &report.receipts);
    let images: Vec<_> = receipts()
        .map(|receipt| {
            let tags = receipt
                .tags
                .iter()
                .filter(|tag| tag.digest.as_ref() == Some(&receipt.digest));
            json!({
                "image": receipt.image,
                "version": receipt.version.to_string(),
                "reference": format!("{}@{}", receipt.repository, receipt.digest),
                "digest": receipt.digest,
                "tags": tags.map(|tag| tag.tag.as_str()).collect::<Vec<_>>(),
            })
        })
        .collect();
    let published = receipts().any(Receipt::has_moved_tags);
    // JSON has no line breaks, so that each output is one line.
    format!("published={published}\nimages={}\n", json!(images))
}

/// Escapes text for a cell of a table in Markdown, so that it stays text.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in visible(text).chars() {
        match character {
            '\n' | '\r' => escaped.push(' '),
            '|' | '<' | '>' | '`' | '*' | '_' | '[' | ']' | '\\' | '&' | '#' | '~' => {
                let _ = write!(escaped, "&#{};", u32::from(character));
            }
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_syntax_in_a_text_is_escaped() {
        assert_eq!(
            escaped("host:5000/app:1.0 (1, latest)"),
            "host:5000/app:1.0 (1, latest)"
        );
        assert_eq!(escaped("a|b\n<img>"), "a&#124;b &#60;img&#62;");
        assert_eq!(escaped("[x](y) `z`"), "&#91;x&#93;(y) &#96;z&#96;");
    }
}
