//! What went wrong between golden and a registry.

/// A failed exchange with a registry.
#[derive(Debug, thiserror::Error)]
#[error("{method} {url}: {message}")]
pub struct Error {
    /// The HTTP method.
    pub method: String,
    /// The address without its query.
    pub url: String,
    /// What was wrong, in a sentence.
    pub message: String,
}
