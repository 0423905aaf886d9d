//! The summary and the outputs of a step of GitHub Actions (docs.github.com, "Workflow commands").

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;

use super::summary::{COLUMNS, rows, totals};
use super::text::{count, visible};
use super::{chain, difference};
use crate::app::pipeline::ImageReport;
use crate::app::published_diff::{MOST_IMAGES, PublishedDiff, PublishedDiffResult};
use crate::publish::Receipt;

/// The most lines of a difference.
const MOST_LINES: usize = 200;
/// The most bytes of a difference. GitHub shows no summary that is larger than 1 MiB.
const MOST_BYTES: usize = 40_000;

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

/// The differences between the published images and the versions before them, each folded. `None` if
/// more than [`MOST_IMAGES`] images were published.
#[must_use]
pub fn differences(diffs: Option<&[PublishedDiff]>) -> String {
    let Some(diffs) = diffs else {
        return format!(
            "\nThe images are not compared with the versions before them: more than {MOST_IMAGES} were published.\n"
        );
    };
    let mut text = String::new();
    for PublishedDiff { image, result } in diffs {
        let because = match result {
            PublishedDiffResult::Compared(compared) => {
                let (image, from) = (escaped(image), escaped(&compared.from));
                let markdown = shortened(&difference::markdown(compared));
                let _ = write!(
                    text,
                    "\n<details><summary>{image}: changes since {from}</summary>\n\n{markdown}\n</details>\n"
                );
                continue;
            }
            PublishedDiffResult::TooLarge => "an image is larger than 1 GB".to_owned(),
            PublishedDiffResult::TooSlow => "it took longer than 1 minute".to_owned(),
            PublishedDiffResult::Failed(error) => chain(error),
        };
        let (image, because) = (escaped(image), escaped(&because));
        let _ = writeln!(
            text,
            "\n{image} is not compared with the version before it: {because}"
        );
    }
    text
}

/// The first lines of a text, and the number of the others.
fn shortened(text: &str) -> String {
    let mut shown = String::new();
    let mut lines = text.lines().enumerate();
    for (n, line) in lines.by_ref() {
        if n >= MOST_LINES || shown.len() + line.len() >= MOST_BYTES {
            let hidden = count(1 + lines.count(), "more line");
            let _ = writeln!(shown, "\n… {hidden}");
            break;
        }
        let _ = writeln!(shown, "{line}");
    }
    shown
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
    fn a_long_text_ends_with_the_number_of_hidden_lines() {
        assert_eq!(shortened("a\nb\n"), "a\nb\n");
        let many = "x\n".repeat(MOST_LINES + 2);
        assert!(shortened(&many).ends_with("x\n\n… 2 more lines\n"));
        assert_eq!(shortened(&many).matches("x\n").count(), MOST_LINES);
        let long = format!("a\n{}\nb\n", "x".repeat(MOST_BYTES));
        assert_eq!(shortened(&long), "a\n\n… 2 more lines\n");
    }

    #[test]
    fn an_image_that_is_not_compared_has_a_note() {
        let note = |result| {
            let image = "app:1.0.1".to_owned();
            differences(Some(&[PublishedDiff { image, result }]))
        };
        assert_eq!(
            note(PublishedDiffResult::TooLarge),
            "\napp:1.0.1 is not compared with the version before it: an image is larger than 1 GB\n"
        );
        let failed = PublishedDiffResult::Failed(crate::app::error::Error::failed("no <answer>"));
        assert!(note(failed).ends_with(": no &#60;answer&#62;\n"));
        assert!(differences(None).contains("more than 20 were published"));
        assert_eq!(differences(Some(&[])), "");
    }

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
