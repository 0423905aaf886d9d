//! Reads keys in DER: PKCS 8 (RFC 5208), SEC 1 (RFC 5915) and `SubjectPublicKeyInfo` (RFC 5480).

use super::key_error::{KeyError, KeyKind};

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
/// `[0]` of an EC private key: the curve.
const CURVE: u8 = 0xa0;
/// `[1]` of an EC private key: the public key.
const PUBLIC: u8 = 0xa1;

/// 1.2.840.10045.2.1
const EC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// 1.2.840.10045.3.1.7
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// 1.3.132.0.34
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
/// 1.3.132.0.35
const P521: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];
/// 1.2.840.113549.1.1.1
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// 1.3.101.112
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// The bytes before the point in the `SubjectPublicKeyInfo` of a P-256 key.
const SPKI: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// The length of an uncompressed point of P-256.
pub(super) const POINT: usize = 65;

/// The parts of an EC private key.
#[derive(Clone, Copy)]
pub(super) struct EcPrivateKey<'k> {
    pub(super) secret: &'k [u8],
    /// The point of the public key, if the encoding has it.
    pub(super) public: Option<&'k [u8]>,
}

/// A reader of consecutive elements.
struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    /// Reads the next element: its tag and its content.
    fn next(&mut self) -> Result<(u8, &'a [u8]), KeyError> {
        let (&[tag, length], rest) = self.0.split_first_chunk::<2>().ok_or(KeyError::Malformed)?;
        let (length, rest) = if length < 0x80 {
            (usize::from(length), rest)
        } else {
            let (bytes, rest) = rest
                .split_at_checked(usize::from(length & 0x7f))
                .filter(|(bytes, _)| (1..=2).contains(&bytes.len()))
                .ok_or(KeyError::Malformed)?;
            let length = bytes
                .iter()
                .fold(0, |length, byte| length << 8 | usize::from(*byte));
            (length, rest)
        };
        let (content, rest) = rest.split_at_checked(length).ok_or(KeyError::Malformed)?;
        self.0 = rest;
        Ok((tag, content))
    }

    /// Reads the next element, which must have this tag.
    fn expect(&mut self, expected: u8) -> Result<&'a [u8], KeyError> {
        match self.next()? {
            (tag, content) if tag == expected => Ok(content),
            _ => Err(KeyError::Malformed),
        }
    }
}

/// Fails unless an `AlgorithmIdentifier` is that of P-256.
fn require_p256(algorithm: &[u8]) -> Result<(), KeyError> {
    let mut algorithm = Elements(algorithm);
    let kind = match algorithm.expect(OBJECT_IDENTIFIER)? {
        EC_KEY => return require_curve(algorithm.expect(OBJECT_IDENTIFIER)?),
        RSA => KeyKind::Rsa,
        ED25519 => KeyKind::Ed25519,
        _ => KeyKind::Other,
    };
    Err(KeyError::Kind(kind))
}

fn require_curve(curve: &[u8]) -> Result<(), KeyError> {
    match curve {
        P256 => Ok(()),
        P384 => Err(KeyError::Kind(KeyKind::P384)),
        P521 => Err(KeyError::Kind(KeyKind::P521)),
        _ => Err(KeyError::Kind(KeyKind::OtherCurve)),
    }
}

/// Reads a `PrivateKeyInfo`.
pub(super) fn pkcs8(bytes: &[u8]) -> Result<EcPrivateKey<'_>, KeyError> {
    let mut info = Elements(Elements(bytes).expect(SEQUENCE)?);
    info.expect(INTEGER)?;
    require_p256(info.expect(SEQUENCE)?)?;
    ec_private_key(info.expect(OCTET_STRING)?)
}

/// Reads an `ECPrivateKey` of its own, which must name its curve.
pub(super) fn sec1(bytes: &[u8]) -> Result<EcPrivateKey<'_>, KeyError> {
    let mut key = Elements(Elements(bytes).expect(SEQUENCE)?);
    key.expect(INTEGER)?;
    key.expect(OCTET_STRING)?;
    require_curve(Elements(key.expect(CURVE)?).expect(OBJECT_IDENTIFIER)?)?;
    ec_private_key(bytes)
}

fn ec_private_key(bytes: &[u8]) -> Result<EcPrivateKey<'_>, KeyError> {
    let mut key = Elements(Elements(bytes).expect(SEQUENCE)?);
    key.expect(INTEGER)?;
    let secret = key.expect(OCTET_STRING)?;
    let mut public = None;
    while !key.0.is_empty() {
        match key.next()? {
            (CURVE, content) => require_curve(Elements(content).expect(OBJECT_IDENTIFIER)?)?,
            (PUBLIC, content) => public = Some(point(Elements(content).expect(BIT_STRING)?)?),
            _ => {}
        }
    }
    Ok(EcPrivateKey { secret, public })
}

/// The point in a bit string.
fn point(bits: &[u8]) -> Result<&[u8], KeyError> {
    let point = bits.strip_prefix(&[0]).ok_or(KeyError::Malformed)?;
    if point.len() == POINT && point[0] == 0x04 {
        Ok(point)
    } else {
        Err(KeyError::Malformed)
    }
}

/// Reads the point of a `SubjectPublicKeyInfo`.
pub(super) fn public_point(bytes: &[u8]) -> Result<&[u8], KeyError> {
    let mut info = Elements(Elements(bytes).expect(SEQUENCE)?);
    require_p256(info.expect(SEQUENCE)?)?;
    point(info.expect(BIT_STRING)?)
}

/// The `SubjectPublicKeyInfo` of a point.
pub(super) fn public_info(point: &[u8; POINT]) -> Vec<u8> {
    [SPKI.as_slice(), point].concat()
}
