//! cosign's encrypted private keys: JSON with scrypt and the `secretbox` of `NaCl`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto_secretbox::aead::{Aead as _, KeyInit as _};
use crypto_secretbox::{Key, Nonce, XSalsa20Poly1305};
use ring::rand::SecureRandom;
use serde::{Deserialize, Serialize};

use super::key_error::{Cost, KeyError};
use crate::secret::Secret;

const KDF: &str = "scrypt";
const CIPHER: &str = "nacl/secretbox";
/// The largest memory that a key file may request for scrypt, in bytes. cosign uses 64 MiB.
const MOST_MEMORY: u64 = 256 << 20;
/// The largest value of `p`, which multiplies the time.
const MOST_PARALLEL: u32 = 16;

#[derive(Serialize, Deserialize)]
struct EncryptedFile {
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

/// The cost that cosign uses.
const COSIGN: Cost = Cost {
    n: 1 << 16,
    r: 8,
    p: 1,
};

/// Derives the key of the cipher. Fails if the cost is invalid or too high.
fn derive(cost: Cost, password: &Secret<String>, salt: &[u8]) -> Result<Key, KeyError> {
    let refused = || KeyError::Cost(cost);
    let Cost { n, r, p } = cost;
    let memory = n.checked_mul(128 * u64::from(r));
    let is_bounded = memory.is_some_and(|memory| (1..=MOST_MEMORY).contains(&memory))
        && (1..=MOST_PARALLEL).contains(&p);
    if !is_bounded || !n.is_power_of_two() {
        return Err(refused());
    }
    let log = u8::try_from(n.trailing_zeros()).map_err(|_| refused())?;
    let parameters = scrypt::Params::new(log, r, p).map_err(|_| refused())?;
    let mut key = Key::default();
    let password = password.expose().as_bytes();
    scrypt::scrypt(password, salt, &parameters, &mut key).map_err(|_| refused())?;
    Ok(key)
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
    let key = derive(COSIGN, password, &salt)?;
    let sealed = XSalsa20Poly1305::new(&key).encrypt(&nonce, plain.expose().as_slice());
    let file = EncryptedFile {
        kdf: Kdf {
            name: KDF.to_owned(),
            params: COSIGN,
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
    let file: EncryptedFile = serde_json::from_slice(bytes).map_err(|_| KeyError::Malformed)?;
    if file.kdf.name != KDF || file.cipher.name != CIPHER {
        return Err(KeyError::Cipher(format!(
            "{} and {}",
            file.kdf.name, file.cipher.name
        )));
    }
    let decode = |text: &str| STANDARD.decode(text).map_err(|_| KeyError::Malformed);
    let (salt, nonce) = (decode(&file.kdf.salt)?, decode(&file.cipher.nonce)?);
    let nonce: [u8; 24] = nonce.try_into().map_err(|_| KeyError::Malformed)?;
    let key = derive(file.kdf.params, password, &salt)?;
    XSalsa20Poly1305::new(&key)
        .decrypt(&nonce.into(), decode(&file.ciphertext)?.as_slice())
        .map(Secret::new)
        .map_err(|_| KeyError::WrongPassword)
}
