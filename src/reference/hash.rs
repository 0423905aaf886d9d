//! Hashes content while it is read or written.

use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::Digest;

/// The number of bytes that are read at once.
const BUFFER: usize = 64 << 10;

/// A hash computation with the algorithm of one digest.
#[derive(Debug, Clone)]
pub(crate) enum Hasher {
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Hasher {
    /// Creates a hasher for content without a known digest.
    pub(crate) fn sha256() -> Self {
        Self::Sha256(Sha256::new())
    }

    /// Creates a hasher for content whose expected digest is `digest`.
    pub(crate) fn of(digest: &Digest) -> Self {
        match digest.algorithm() {
            "sha384" => Self::Sha384(Sha384::new()),
            "sha512" => Self::Sha512(Sha512::new()),
            _ => Self::sha256(),
        }
    }

    pub(crate) fn update(&mut self, bytes: impl AsRef<[u8]>) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Sha384(hash) => hash.update(bytes),
            Self::Sha512(hash) => hash.update(bytes),
        }
    }

    /// The digest of the hashed content.
    pub(crate) fn finish(self) -> Digest {
        match self {
            Self::Sha256(hash) => Digest::new("sha256", &hash.finalize()),
            Self::Sha384(hash) => Digest::new("sha384", &hash.finalize()),
            Self::Sha512(hash) => Digest::new("sha512", &hash.finalize()),
        }
    }

    /// True if the hashed content has `digest`.
    pub(crate) fn matches(self, digest: &Digest) -> bool {
        self.finish() == *digest
    }

    /// Copies a stream to its end and hashes it. Returns the number of bytes.
    pub(crate) fn copy(
        &mut self,
        from: impl Read,
        to: &mut (impl Write + ?Sized),
    ) -> io::Result<u64> {
        copy(from, to, &mut vec![0; BUFFER], Some(self))
    }
}

/// Copies a stream to its end, and hashes it if there is a hasher. The buffer is the number of bytes
/// that are read at once. Returns the number of bytes.
pub(crate) fn copy(
    mut from: impl Read,
    to: &mut (impl Write + ?Sized),
    buffer: &mut [u8],
    mut hasher: Option<&mut Hasher>,
) -> io::Result<u64> {
    let mut count = 0;
    loop {
        let read = match from.read(buffer) {
            Ok(0) => return Ok(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result?,
        };
        if let Some(hasher) = &mut hasher {
            hasher.update(&buffer[..read]);
        }
        to.write_all(&buffer[..read])?;
        count += read as u64;
    }
}

/// A writer that hashes and counts the bytes that it forwards.
pub(crate) struct HashedWriter<W> {
    out: W,
    hasher: Hasher,
    count: u64,
}

impl<W> HashedWriter<W> {
    pub(crate) fn new(out: W) -> Self {
        Self {
            out,
            hasher: Hasher::sha256(),
            count: 0,
        }
    }

    /// The digest, the number of bytes, and the inner writer.
    pub(crate) fn finish(self) -> (Digest, u64, W) {
        (self.hasher.finish(), self.count, self.out)
    }
}

impl<W: Write> Write for HashedWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.count += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
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
            let digest: Digest = digest.parse().unwrap();
            assert!(digest.is_of(b"abc") && !digest.is_of(b"abd"), "{digest}");
            let (mut hasher, mut out) = (Hasher::of(&digest), Vec::new());
            assert_eq!(hasher.copy(&b"abc"[..], &mut out).unwrap(), 3);
            assert_eq!((hasher.finish(), out), (digest, b"abc".to_vec()));
        }
    }
}
