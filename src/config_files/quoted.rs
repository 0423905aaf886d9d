//! TOML strings.

/// Writes `text` as a TOML string, with quotes and escapes.
#[must_use]
pub fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
