//! File content that pure code can talk about without opening a file.

use std::path::PathBuf;
use std::sync::Arc;

use crate::reference::Digest;

/// Bytes shared without copying.
pub type Bytes = Arc<[u8]>;

/// Content of a file. Pure code sees length and digest; only the edge opens the file, so memory stays flat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Bytes in memory.
    Inline(Bytes),
    /// A file on disk, as it was when it was hashed. Whoever reads it must see the same length and digest, or stop.
    File {
        /// Its absolute path.
        path: PathBuf,
        /// Its length in bytes.
        len: u64,
        /// The digest of its bytes.
        digest: Digest,
    },
}

impl Content {
    /// Content from bytes.
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

    /// Whether there are no bytes.
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
