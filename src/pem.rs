//! A strict parser and a writer for PEM (RFC 7468). A block may begin and end anywhere in a line,
//! because files that are joined without a newline have such lines. A malformed block is an error,
//! because skipping it would lose a certificate.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// A PEM block.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// The text after `BEGIN`, such as `CERTIFICATE`.
    pub(crate) label: String,
    /// The bytes that the block encodes.
    pub(crate) bytes: Vec<u8>,
}

/// The blocks of a text, in their order. Fails with the number of the first malformed block and the
/// reason. Text between the blocks is ignored.
pub(crate) fn blocks(text: &[u8]) -> Result<Vec<Block>, (usize, String)> {
    let text = String::from_utf8_lossy(text);
    let (mut blocks, mut rest) = (Vec::new(), text.as_ref());
    while let Some(at) = rest.find(BEGIN) {
        let broken = |why| (blocks.len() + 1, why);
        outside(&rest[..at]).map_err(broken)?;
        let (block, after) = block(&rest[at + BEGIN.len()..]).map_err(broken)?;
        blocks.push(block);
        rest = after;
    }
    outside(rest).map_err(|why| (blocks.len() + 1, why))?;
    Ok(blocks)
}

/// Parses the block whose label the text begins with. Also returns the text after it.
fn block(text: &str) -> Result<(Block, &str), String> {
    let (label, text) = text
        .split_once(DASHES)
        .ok_or("its first line does not end in `-----`")?;
    if label.contains(['\n', '\r']) {
        return Err("its first line does not end in `-----`".to_owned());
    }
    let end = format!("{END}{label}{DASHES}");
    let (body, after) = text
        .split_once(&end)
        .ok_or_else(|| format!("it has no `{end}`"))?;
    if body.contains(BEGIN) {
        return Err(format!("it has no `{end}` before the next block"));
    }
    let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let bytes = STANDARD
        .decode(&body)
        .map_err(|error| format!("it is not base64: {error}"))?;
    Ok((
        Block {
            label: label.to_owned(),
            bytes,
        },
        after,
    ))
}

/// Refuses text between blocks if one of its lines looks like the beginning or end of a block.
fn outside(text: &str) -> Result<(), String> {
    let like_a_marker = |line: &&str| {
        let upper = line.to_ascii_uppercase();
        upper.contains("--")
            && (upper.contains("BEGIN") || upper.contains("END "))
            && upper.contains("CERTIFICATE")
    };
    match text.lines().find(like_a_marker) {
        Some(line) => Err(format!("`{}` is not the beginning of a block", line.trim())),
        None => Ok(()),
    }
}

/// The text of a block, with lines of 64 characters.
#[must_use]
pub(crate) fn encode(label: &str, bytes: &[u8]) -> String {
    let body = STANDARD.encode(bytes);
    let mut text = format!("{BEGIN}{label}{DASHES}\n");
    for line in body.as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text + END + label + DASHES + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_in_every_layout() {
        let one = "-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----";
        let two = "-----BEGIN X-----AwQF-----END X-----";
        let expected = [
            Block {
                label: "CERTIFICATE".to_owned(),
                bytes: vec![0, 1, 2],
            },
            Block {
                label: "X".to_owned(),
                bytes: vec![3, 4, 5],
            },
        ];
        for text in [
            format!("{one}\n{two}\n"),
            format!("{one}{two}"),
            format!("subject=CN = a\n{one}\n\n# the second\n{two}"),
            format!("{one}\n{two}\n").replace('\n', "\r\n"),
            format!("{one}\n{two}\n").replace('\n', "\r"),
            format!("\u{feff}{one} {two} text"),
            format!("{one}{two}").replace("AAEC", " A A\nE\tC "),
        ] {
            assert_eq!(blocks(text.as_bytes()).unwrap(), expected, "{text:?}");
        }
        assert_eq!(blocks(b"nothing here").unwrap(), []);
    }

    #[test]
    fn malformed_blocks_are_refused() {
        for (text, why) in [
            (
                "-----BEGIN CERTIFICATE-----\nAAEC",
                "it has no `-----END CERTIFICATE-----`",
            ),
            (
                "-----BEGIN CERTIFICATE\nAAEC\n-----END CERTIFICATE-----",
                "its first line does not end in `-----`",
            ),
            (
                "-----BEGIN A-----\nAAEC\n-----BEGIN A-----\nAAEC\n-----END A-----",
                "it has no `-----END A-----` before the next block",
            ),
            (
                "----BEGIN CERTIFICATE-----\nAAEC\n",
                "`----BEGIN CERTIFICATE-----` is not the beginning of a block",
            ),
            (
                "----- BEGIN CERTIFICATE -----",
                "`----- BEGIN CERTIFICATE -----` is not the beginning of a block",
            ),
            (
                "AAEC\n-----END CERTIFICATE-----\n",
                "`-----END CERTIFICATE-----` is not the beginning of a block",
            ),
        ] {
            assert_eq!(
                blocks(text.as_bytes()).unwrap_err(),
                (1, why.to_owned()),
                "{text:?}"
            );
        }
        assert!(
            blocks(b"-----BEGIN A-----\nA*\n-----END A-----")
                .unwrap_err()
                .1
                .starts_with("it is not base64")
        );
    }
}
