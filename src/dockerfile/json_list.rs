//! The exec form: a JSON list of strings.

/// The strings of a JSON list at the start of a text. Text after the list is ignored, as Docker
/// ignores it.
pub(super) fn of(text: &str) -> Option<Vec<String>> {
    if !text.trim_start().starts_with('[') {
        return None;
    }
    serde_json::Deserializer::from_str(text)
        .into_iter::<Vec<String>>()
        .next()?
        .ok()
}
