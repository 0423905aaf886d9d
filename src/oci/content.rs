//! The content of files, for code that does not open files itself.

use std::path::PathBuf;
use std::sync::Arc;

use crate::reference::Digest;

/// Bytes that are shared without copying.
pub type Bytes = Arc<[u8]>;

/// The content of a file. Pure code uses only length and digest. The code that writes a layer opens
/// the file, so large files are not held in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The bytes in memory.
    Inline(Bytes),
    /// A file on disk, as it was hashed. A reader must fail if the length or the digest has
    /// changed.
    File {
        /// The absolute path of the file.
        path: PathBuf,
        /// The length in bytes.
        len: u64,
        /// The digest of the bytes.
        digest: Digest,
    },
}

impl Content {
    /// Makes content from bytes in memory.
    pub fn inline(bytes: impl Into<Bytes>) -> Self {
        Self::Inline(bytes.into())
    }

    /// The length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::File { len, .. } => *len,
        }
    }

    /// True if the content has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The digest of the bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        match self {
            Self::Inline(bytes) => Digest::of(bytes),
            Self::File { digest, .. } => digest.clone(),
        }
    }
}
