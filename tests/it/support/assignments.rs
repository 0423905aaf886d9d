//! Reads the file with the addresses of the services, which a shell can read too.

use std::collections::BTreeMap;

/// The assignments `NAME='value'` of a file. A single quote in a value is written as `'\''`.
pub(crate) fn read(file: &str) -> std::io::Result<BTreeMap<String, String>> {
    #[expect(clippy::disallowed_methods, reason = "the test owns this file")]
    let text = std::fs::read_to_string(file)?;
    let assignments = text.lines().filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        let value = value.strip_prefix('\'')?.strip_suffix('\'')?;
        Some((name.to_owned(), value.replace("'\\''", "'")))
    });
    Ok(assignments.collect())
}
