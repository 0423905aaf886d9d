//! Replaces the parts of an output that differ between runs.

use regex::Regex;

/// Replaces digests, durations, sizes, times and the engine's address by words, and runs of blanks
/// by one blank. Removes the steps of a Docker build.
pub(crate) fn redacted(text: &str) -> String {
    let patterns = [
        // An engine that has cached the step reports it, and builds parallel steps in any order.
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
