//! The sources of golden, for the tests that read them.

use std::path::Path;

/// The directory of Cargo.toml.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The code of a file, without comments and without its unit tests.
pub(crate) fn code(text: &str) -> String {
    let tests = ["mod tests {", "pub(super) mod tests {"];
    let tests = tests.map(|module| format!("#[cfg(test)]\n{module}"));
    let end = tests.iter().find_map(|module| text.find(module.as_str()));
    let without_tests = &text[..end.unwrap_or(text.len())];
    let lines = without_tests.lines();
    let code = lines.filter(|line| !line.trim_start().starts_with("//"));
    code.collect::<Vec<_>>().join("\n")
}
