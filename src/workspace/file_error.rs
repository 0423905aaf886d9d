//! The error of reading or writing a file.

use std::path::PathBuf;

/// The reason why a file of the workspace cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct Error {
    /// A verb such as `read` or `write`.
    pub action: &'static str,
    /// The path of the file.
    pub path: PathBuf,
    /// The error of the operating system.
    #[source]
    pub source: std::io::Error,
}
