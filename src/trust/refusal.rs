//! The reasons why a signature does not count.

use std::fmt;

use serde::{Serialize, Serializer};

/// The largest signature that is read, in bytes.
pub const MOST_SIGNATURE_BYTES: u64 = 1 << 20;

/// The longest text of a signature that a message contains, in characters.
const MOST_TEXT: usize = 200;

/// The reason why a signature does not count. The message continues a sentence that names the
/// signature.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// The signature is by a key that is not trusted.
    OtherKey,
    /// The signature is for another digest.
    OtherDigest(String),
    /// The signature is for another repository.
    OtherRepository(String),
    /// The signed statement is not a signature but an attestation.
    OtherPredicate(String),
    /// The signed text is of another type.
    OtherPayload(String),
    /// The signature is by a certificate, without a key.
    Certificate,
    /// The bundle contains no envelope.
    NoEnvelope,
    /// The content ends too early.
    Truncated,
    /// The content is not as its format requires.
    Malformed(&'static str),
    /// The content is too large.
    TooLarge(u64),
    /// The registry does not have the content.
    Missing,
}

impl Refusal {
    /// The refusal for content that is not JSON, or not the expected JSON.
    pub(super) fn of_json(error: &serde_json::Error) -> Self {
        if error.is_eof() {
            Self::Truncated
        } else {
            Self::Malformed("it is not the expected JSON")
        }
    }
}

/// A text of the signature in one line.
fn shown(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(MOST_TEXT)
        .collect()
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherKey => f.write_str("is made with a key that is not trusted"),
            Self::OtherDigest(digest) => write!(f, "is for the digest {}", shown(digest)),
            Self::OtherRepository(name) => write!(f, "is for the repository {}", shown(name)),
            Self::OtherPredicate(kind) => {
                write!(f, "is an attestation of the type {}", shown(kind))
            }
            Self::OtherPayload(kind) => write!(f, "signs a text of the type {}", shown(kind)),
            Self::Certificate => f.write_str("is made with a certificate, not with a key"),
            Self::NoEnvelope => f.write_str("has no envelope"),
            Self::Truncated => f.write_str("is truncated"),
            Self::Malformed(why) => write!(f, "is malformed: {why}"),
            Self::TooLarge(size) => write!(
                f,
                "has {size} bytes; the limit is {MOST_SIGNATURE_BYTES} bytes"
            ),
            Self::Missing => f.write_str("is listed, but the registry does not have it"),
        }
    }
}

impl Serialize for Refusal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
