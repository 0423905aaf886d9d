//! What differs from run to run, and how it is written in an expectation.

use regex::Regex;

/// The text with digests, durations, sizes, times and the engine's address replaced by words, runs of blanks by one,
/// and without the steps of a Docker build.
pub(crate) fn redacted(text: &str) -> String {
    let patterns = [
        // An engine that has the step already says so, and builds side by side in no order.
        (r"(?m)^\S+: (CACHED )?(\[\d+/\d+\] |exporting ).*\n", ""),
        (r"[0-9a-f]{64}", "DIGEST"),
        (r"sha256:[0-9a-f]{6,}…?", "sha256:DIGEST"),
        (r"\b[0-9a-f]{12}\b", "DIGEST"),
        (
            r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z| UTC)?)?",
            "TIME",
        ),
        (r"\b\d+(\.\d+)? ?(ms|s|B|kB|KB|MB|KiB|MiB)\b", "AMOUNT"),
        (r"unix:///\S+", "ENGINE"),
        (r" +", " "),
    ];
    patterns
        .iter()
        .fold(text.to_owned(), |text, (pattern, with)| {
            Regex::new(pattern)
                .unwrap()
                .replace_all(&text, *with)
                .into_owned()
        })
}
