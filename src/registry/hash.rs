//! Hashes content with the algorithm of its expected digest.

use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::reference::Digest;

/// A hash computation with the algorithm of one digest.
#[derive(Clone)]
pub(crate) enum Hasher {
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Hasher {
    /// Creates a hasher for content whose expected digest is `digest`.
    pub(crate) fn of(digest: &Digest) -> Self {
        match digest.algorithm() {
            "sha384" => Self::Sha384(Sha384::new()),
            "sha512" => Self::Sha512(Sha512::new()),
            _ => Self::Sha256(Sha256::new()),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Sha384(hash) => hash.update(bytes),
            Self::Sha512(hash) => hash.update(bytes),
        }
    }

    /// True if the hashed content has `digest`.
    pub(crate) fn matches(self, digest: &Digest) -> bool {
        let hash = match self {
            Self::Sha256(hash) => hash.finalize().to_vec(),
            Self::Sha384(hash) => hash.finalize().to_vec(),
            Self::Sha512(hash) => hash.finalize().to_vec(),
        };
        digest.is_hash(&hash)
    }

    /// True if `bytes` have `digest`.
    pub(crate) fn check(digest: &Digest, bytes: &[u8]) -> bool {
        digest.is_of(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_verified_with_each_algorithm() {
        for digest in [
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "sha384:cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
            "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        ] {
            let digest = digest.parse().unwrap();
            assert!(
                Hasher::check(&digest, b"abc") && !Hasher::check(&digest, b"abd"),
                "{digest}"
            );
        }
    }
}
