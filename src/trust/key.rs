//! Keys for signatures: ECDSA on P-256 with SHA-256, which every verifier of cosign accepts.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use sha2::{Digest as _, Sha256};

pub use super::key_error::{Cost, KeyError, KeyKind};
use super::{der, encrypted};
use crate::pem;
use crate::secret::Secret;

/// The largest file with a key, in bytes.
pub const MOST_KEY_BYTES: u64 = 64 << 10;

const ENCRYPTED: [&str; 2] = [
    "ENCRYPTED SIGSTORE PRIVATE KEY",
    "ENCRYPTED COSIGN PRIVATE KEY",
];
const PKCS8: &str = "PRIVATE KEY";
const SEC1: &str = "EC PRIVATE KEY";
const PUBLIC: &str = "PUBLIC KEY";

/// A public key on the curve P-256.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey([u8; der::POINT]);

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.hint())
    }
}

impl PublicKey {
    /// Reads a public key in PEM.
    pub fn parse(text: &[u8]) -> Result<Self, KeyError> {
        let block = only_block(text)?;
        match block.label.as_str() {
            PUBLIC => Self::of_point(der::public_point(&block.bytes)?),
            "RSA PUBLIC KEY" => Err(KeyError::Kind(KeyKind::Rsa)),
            label if label.ends_with("PRIVATE KEY") => Err(KeyError::Private),
            label => Err(KeyError::NotKey(label.to_owned())),
        }
    }

    fn of_point(point: &[u8]) -> Result<Self, KeyError> {
        point.try_into().map(Self).map_err(|_| KeyError::Malformed)
    }

    /// The key in PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::encode(PUBLIC, &der::public_info(&self.0))
    }

    /// The hint that bundles name the key with: the SHA-256 of its DER, in base64.
    #[must_use]
    pub fn hint(&self) -> String {
        STANDARD.encode(Sha256::digest(der::public_info(&self.0)))
    }

    /// True if `signature` (ASN.1) is a signature of `message` by this key.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.0)
            .verify(message, signature)
            .is_ok()
    }
}

/// A private key on the curve P-256.
pub struct PrivateKey {
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(***)")
    }
}

impl PrivateKey {
    /// Creates a new key. Returns it with its encoding in PKCS 8.
    fn generate() -> Result<(Self, Secret<Vec<u8>>), KeyError> {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random)
            .map_err(|_| KeyError::Random)?;
        let key = Self::of(der::pkcs8(pkcs8.as_ref())?)?;
        Ok((key, Secret::new(pkcs8.as_ref().to_vec())))
    }

    fn of(scalar: der::EcPrivateKey<'_>) -> Result<Self, KeyError> {
        let public = scalar.public.ok_or(KeyError::NoPublic)?;
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_ASN1_SIGNING,
            scalar.secret,
            public,
            &random,
        )
        .map_err(|_| KeyError::Malformed)?;
        Ok(Self { pair, random })
    }

    /// The public key.
    pub fn public(&self) -> Result<PublicKey, KeyError> {
        PublicKey::of_point(self.pair.public_key().as_ref())
    }

    /// Signs a message; the signature is ASN.1.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature = self.pair.sign(&self.random, message);
        let signature = signature.map_err(|_| KeyError::Random)?;
        Ok(signature.as_ref().to_vec())
    }
}

/// A private key as it is stored.
#[derive(Debug)]
pub enum StoredKey {
    /// The key is ready.
    Plain(PrivateKey),
    /// The key needs its password.
    Encrypted(EncryptedKey),
}

/// A private key that is encrypted in cosign's format.
#[derive(Debug)]
pub struct EncryptedKey(Secret<Vec<u8>>);

impl EncryptedKey {
    /// Decrypts the key. Fails if the password is wrong.
    pub fn decrypt(&self, password: &Secret<String>) -> Result<PrivateKey, KeyError> {
        let plain = encrypted::decrypt(self.0.expose(), password)?;
        PrivateKey::of(der::pkcs8(plain.expose())?)
    }
}

impl StoredKey {
    /// Reads a private key in PEM: PKCS 8, SEC 1, or cosign's encrypted format.
    pub fn parse(text: &[u8]) -> Result<Self, KeyError> {
        let block = only_block(text)?;
        let plain = |scalar| Ok(Self::Plain(PrivateKey::of(scalar?)?));
        match block.label.as_str() {
            PKCS8 => plain(der::pkcs8(&block.bytes)),
            SEC1 => plain(der::sec1(&block.bytes)),
            label if ENCRYPTED.contains(&label) => {
                Ok(Self::Encrypted(EncryptedKey(Secret::new(block.bytes))))
            }
            "ENCRYPTED PRIVATE KEY" => Err(KeyError::OtherEncryption),
            "RSA PRIVATE KEY" => Err(KeyError::Kind(KeyKind::Rsa)),
            "OPENSSH PRIVATE KEY" => Err(KeyError::Kind(KeyKind::Other)),
            label if label.ends_with(PUBLIC) => Err(KeyError::Public),
            label => Err(KeyError::NotKey(label.to_owned())),
        }
    }
}

/// A new key pair, as the two files of cosign.
#[derive(Debug)]
pub struct NewKeyPair {
    /// The encrypted private key, in PEM.
    pub private: String,
    /// The public key, in PEM.
    pub public: String,
}

impl NewKeyPair {
    /// Creates a key pair, and encrypts the private key with `password`.
    pub fn create(password: &Secret<String>) -> Result<Self, KeyError> {
        let (key, pkcs8) = PrivateKey::generate()?;
        let sealed = encrypted::encrypt(&pkcs8, password, &SystemRandom::new())?;
        Ok(Self {
            private: pem::encode(ENCRYPTED[0], &sealed),
            public: key.public()?.to_pem(),
        })
    }
}

/// The only key of a PEM file. The parameters of a curve, which OpenSSL writes before the key, are
/// skipped.
fn only_block(text: &[u8]) -> Result<pem::Block, KeyError> {
    if text.len() as u64 > MOST_KEY_BYTES {
        return Err(KeyError::NotPem);
    }
    // OpenSSL's own encryption has headers, which are not base64.
    if String::from_utf8_lossy(text).contains("Proc-Type: 4,ENCRYPTED") {
        return Err(KeyError::OtherEncryption);
    }
    let mut blocks = pem::blocks(text).map_err(|(_, why)| KeyError::Pem(why))?;
    blocks.retain(|block| block.label != "EC PARAMETERS");
    match blocks.pop() {
        Some(block) if blocks.is_empty() => Ok(block),
        Some(_) => Err(KeyError::Several),
        None => Err(KeyError::NotPem),
    }
}

#[cfg(test)]
pub(super) mod tests;
