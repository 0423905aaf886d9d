//! The reasons why a key cannot be used.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The reason why a key cannot be used. The message continues a sentence that names the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text has no PEM block.
    #[error("it is not a key in PEM format")]
    NotPem,
    /// A PEM block is malformed.
    #[error("its PEM block is malformed: {0}")]
    Pem(String),
    /// The text has several keys.
    #[error("it has several keys; exactly one is accepted")]
    Several,
    /// The PEM block is not a key.
    #[error("it is a `{0}`, not a key")]
    NotKey(String),
    /// The key has another algorithm.
    #[error("it is {0} key; only ECDSA keys on the curve P-256 are accepted")]
    Kind(KeyKind),
    /// A private key is required.
    #[error("it is a public key; signing needs the private key")]
    Public,
    /// A public key is required.
    #[error("it is a private key; a public key is required")]
    Private,
    /// The key is encrypted in PKCS 8 or OpenSSL's own format.
    #[error("it is encrypted in a format other than cosign's")]
    OtherEncryption,
    /// The encrypted key uses another cipher.
    #[error("it is encrypted with {0}; scrypt and nacl/secretbox are supported")]
    Cipher(String),
    /// The key derivation needs too much memory or time, or its parameters are invalid.
    #[error("its key derivation has unsupported parameters: {0}")]
    Cost(Cost),
    /// The content is not that of a key.
    #[error("it is malformed")]
    Malformed,
    /// The private key is stored without its public key.
    #[error("it does not contain its public key")]
    NoPublic,
    /// The key is encrypted and no password is given.
    #[error("it is encrypted, and no password is given")]
    NoPassword,
    /// The password is wrong, or the encrypted key is damaged.
    #[error("its password is wrong")]
    WrongPassword,
    /// The system provides no random numbers.
    #[error("the system provides no random numbers")]
    Random,
}

impl KeyError {
    /// The next step for the user, if there is one.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Kind(_) | Self::NotPem | Self::NotKey(_) | Self::Malformed => {
                Some("`golden key new --out NAME` creates a key pair")
            }
            Self::Public => Some("name the file with the private key, such as NAME.key"),
            Self::Private => Some("name the file with the public key, such as NAME.pub"),
            Self::OtherEncryption => Some(
                "decrypt it with `openssl pkey -in KEY -out NEW`, or use `cosign import-key-pair --key KEY`",
            ),
            Self::NoPublic => Some("`openssl ec -in KEY -out NEW` adds the public key"),
            Self::NoPassword => Some("set GOLDEN_SIGNING_PASSWORD"),
            Self::WrongPassword => {
                Some("the password is that of GOLDEN_SIGNING_PASSWORD, else of COSIGN_PASSWORD")
            }
            Self::Pem(_) | Self::Several | Self::Cipher(_) | Self::Cost(_) | Self::Random => None,
        }
    }
}

/// The kind of a key that is not accepted, with its article.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA.
    Rsa,
    /// Ed25519.
    Ed25519,
    /// ECDSA on P-384.
    P384,
    /// ECDSA on P-521.
    P521,
    /// ECDSA on another curve.
    OtherCurve,
    /// Another algorithm.
    Other,
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rsa => "an RSA",
            Self::Ed25519 => "an Ed25519",
            Self::P384 => "an ECDSA P-384",
            Self::P521 => "an ECDSA P-521",
            Self::OtherCurve => "an ECDSA (other curve)",
            Self::Other => "an unknown kind of",
        })
    }
}

/// The cost of the key derivation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    #[serde(rename = "N")]
    pub(super) n: u64,
    pub(super) r: u32,
    pub(super) p: u32,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { n, r, p } = self;
        write!(f, "N={n} r={r} p={p}")
    }
}
