//! cosign's encrypted private keys: JSON with scrypt and NaCl's secretbox.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto_secretbox::aead::{Aead as _, KeyInit as _};
use crypto_secretbox::{Key, Nonce, XSalsa20Poly1305};
use ring::rand::SecureRandom;
use serde::{Deserialize, Serialize};

use super::key::KeyError;
use crate::secret::Secret;

const KDF: &str = "scrypt";
const CIPHER: &str = "nacl/secretbox";
/// The largest memory that a key file may request for scrypt, in bytes. cosign uses 64 MiB.
const MOST_MEMORY: u64 = 256 << 20;
/// The largest value of `p`, which multiplies the time.
const MOST_PARALLEL: u32 = 16;

#[derive(Serialize, Deserialize)]
struct File {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Serialize, Deserialize)]
struct Kdf {
    name: String,
    params: Cost,
    salt: String,
}

#[derive(Serialize, Deserialize)]
struct Cipher {
    name: String,
    nonce: String,
}

/// The cost of the key derivation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { n, r, p } = self;
        write!(f, "N={n} r={r} p={p}")
    }
}

impl Cost {
    /// The cost that cosign uses.
    const COSIGN: Self = Self {
        n: 1 << 16,
        r: 8,
        p: 1,
    };

    /// Derives the key of the cipher. Fails if the cost is invalid or too high.
    fn derive(self, password: &[u8], salt: &[u8]) -> Result<Key, KeyError> {
        let refused = || KeyError::Cost(self);
        let memory = self.n.checked_mul(128 * u64::from(self.r));
        let is_bounded = memory.is_some_and(|memory| (1..=MOST_MEMORY).contains(&memory))
            && (1..=MOST_PARALLEL).contains(&self.p);
        if !is_bounded || !self.n.is_power_of_two() {
            return Err(refused());
        }
        let log = u8::try_from(self.n.trailing_zeros()).map_err(|_| refused())?;
        let parameters = scrypt::Params::new(log, self.r, self.p).map_err(|_| refused())?;
        let mut key = Key::default();
        scrypt::scrypt(password, salt, &parameters, &mut key).map_err(|_| refused())?;
        Ok(key)
    }
}

/// Encrypts a key with a password.
pub(super) fn encrypt(
    plain: &Secret<Vec<u8>>,
    password: &Secret<String>,
    random: &dyn SecureRandom,
) -> Result<Vec<u8>, KeyError> {
    let (mut salt, mut nonce) = ([0; 32], Nonce::default());
    for bytes in [salt.as_mut_slice(), nonce.as_mut_slice()] {
        random.fill(bytes).map_err(|_| KeyError::Random)?;
    }
    let key = Cost::COSIGN.derive(password.expose().as_bytes(), &salt)?;
    let sealed = XSalsa20Poly1305::new(&key).encrypt(&nonce, plain.expose().as_slice());
    let file = File {
        kdf: Kdf {
            name: KDF.to_owned(),
            params: Cost::COSIGN,
            salt: STANDARD.encode(salt),
        },
        cipher: Cipher {
            name: CIPHER.to_owned(),
            nonce: STANDARD.encode(nonce),
        },
        ciphertext: STANDARD.encode(sealed.map_err(|_| KeyError::Random)?),
    };
    serde_json::to_vec(&file).map_err(|_| KeyError::Malformed)
}

/// Decrypts a key with its password. Fails if the password is wrong.
pub(super) fn decrypt(
    bytes: &[u8],
    password: &Secret<String>,
) -> Result<Secret<Vec<u8>>, KeyError> {
    let file: File = serde_json::from_slice(bytes).map_err(|_| KeyError::Malformed)?;
    if file.kdf.name != KDF || file.cipher.name != CIPHER {
        return Err(KeyError::Cipher(format!(
            "{} and {}",
            file.kdf.name, file.cipher.name
        )));
    }
    let decode = |text: &str| STANDARD.decode(text).map_err(|_| KeyError::Malformed);
    let (salt, nonce) = (decode(&file.kdf.salt)?, decode(&file.cipher.nonce)?);
    let nonce: [u8; 24] = nonce.try_into().map_err(|_| KeyError::Malformed)?;
    let key = file
        .kdf
        .params
        .derive(password.expose().as_bytes(), &salt)?;
    XSalsa20Poly1305::new(&key)
        .decrypt(&nonce.into(), decode(&file.ciphertext)?.as_slice())
        .map(Secret::new)
        .map_err(|_| KeyError::WrongPassword)
}
