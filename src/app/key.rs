//! Creates key pairs for signing.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::error::Error;
use crate::secret::Secret;
use crate::trust::PublicKey;
use crate::trust::key::NewKeyPair;
use crate::workspace::fs;

/// A key pair that was written.
#[derive(Debug, Serialize)]
pub struct WrittenKeyPair {
    /// The file with the encrypted private key.
    pub private: PathBuf,
    /// The file with the public key.
    pub public: PathBuf,
    /// The SHA-256 of the public key, in base64, which bundles name the key with.
    pub hint: String,
}

/// Creates a key pair, and writes it to `NAME.key` and `NAME.pub` in `directory`. Fails if one of the
/// files exists.
pub fn create(
    directory: &Path,
    name: &Path,
    password: &Secret<String>,
) -> Result<WrittenKeyPair, Error> {
    let with = |suffix: &str| {
        let mut path = name.as_os_str().to_owned();
        path.push(suffix);
        PathBuf::from(path)
    };
    let (private, public) = (with(".key"), with(".pub"));
    if name.file_name().is_none() {
        return Err(Error::invalid("--out needs the name of the key"));
    }
    for path in [&private, &public] {
        if directory.join(path).symlink_metadata().is_ok() {
            let message = format!("{} exists; a key is never overwritten", path.display());
            return Err(Error::invalid(message).hint("choose another name with --out"));
        }
    }
    let failed =
        |error: crate::trust::KeyError| Error::failed(format!("no key was created: {error}"));
    let pair = NewKeyPair::create(password).map_err(failed)?;
    let key = PublicKey::parse(pair.public.as_bytes()).map_err(failed)?;
    fs::create_private(&directory.join(&private), pair.private.as_bytes())?;
    fs::create_public(&directory.join(&public), pair.public.as_bytes())?;
    Ok(WrittenKeyPair {
        private,
        public,
        hint: key.hint(),
    })
}
