//! The message about an invalid regular expression.

/// The message about a pattern that does not compile.
pub(crate) fn refused(pattern: &str, error: &regex::Error) -> String {
    let error = error.to_string();
    // The lines before the last one show the pattern again.
    let reason = error.lines().last().unwrap_or_default();
    refused_because(pattern, reason.trim_start_matches("error: "))
}

/// The message about a pattern that is invalid for a reason.
pub(crate) fn refused_because(pattern: &str, reason: &str) -> String {
    format!("`{pattern}` is not a regular expression: {reason}")
}
