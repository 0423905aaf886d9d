//! OpenSSL's hash of a certificate's subject (`X509_NAME_hash`): the first four bytes, in
//! little-endian order, of the SHA-1 of the name's canonical encoding. In that encoding, text is
//! UTF-8 in lower case with collapsed white space.

use sha1::{Digest as _, Sha1};
use x509_parser::asn1_rs::{FromDer as _, Header, Tag, ToDer as _};
use x509_parser::der_parser::Oid;
use x509_parser::prelude::X509Certificate;

/// The hash of the subject of a certificate in DER. None if the certificate cannot be parsed.
pub(super) fn hash(der: &[u8]) -> Option<u32> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let digest = Sha1::digest(canonical(certificate.subject.as_raw())?);
    Some(u32::from_le_bytes([
        digest[0], digest[1], digest[2], digest[3],
    ]))
}

/// The canonical encoding: the sets one after the other, without the sequence around them.
fn canonical(name: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut sets = contents(name)?.1;
    while !sets.is_empty() {
        let (rest, mut pairs) = contents(sets)?;
        sets = rest;
        let mut encoded = Vec::new();
        while !pairs.is_empty() {
            let (rest, pair) = contents(pairs)?;
            pairs = rest;
            encoded.push(canonical_pair(pair)?);
        }
        // A set in DER is sorted by its members' encodings.
        encoded.sort();
        wrap(0x31, &encoded.concat(), &mut out);
    }
    Some(out)
}

/// The bytes after the first element, and the content of that element.
fn contents(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (rest, header) = Header::from_der(bytes).ok()?;
    let length = header.length().definite().ok()?;
    (length <= rest.len()).then(|| (&rest[length..], &rest[..length]))
}

/// A type and its value in canonical form.
fn canonical_pair(pair: &[u8]) -> Option<Vec<u8>> {
    let (value, oid) = Oid::from_der(pair).ok()?;
    let (_, header) = Header::from_der(value).ok()?;
    let text = text(header.tag(), contents(value)?.1);
    let mut inner = oid.to_der_vec().ok()?;
    match text {
        Some(text) => wrap(0x0c, collapse(&text).as_bytes(), &mut inner),
        None => inner.extend_from_slice(value),
    }
    let mut out = Vec::new();
    wrap(0x30, &inner, &mut out);
    Some(out)
}

/// The text of a string type that has a canonical form. None for all other types, which are kept
/// unchanged.
fn text(tag: Tag, bytes: &[u8]) -> Option<String> {
    match tag {
        Tag::Utf8String => String::from_utf8(bytes.to_vec()).ok(),
        Tag::PrintableString | Tag::T61String | Tag::Ia5String | Tag::VisibleString => {
            Some(bytes.iter().map(|byte| char::from(*byte)).collect())
        }
        Tag::BmpString => {
            let units = bytes
                .chunks(2)
                .map(|pair| u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
            String::from_utf16(&units.collect::<Vec<_>>()).ok()
        }
        Tag::UniversalString => bytes
            .chunks(4)
            .map(|four| char::from_u32(u32::from_be_bytes(four.try_into().ok()?)))
            .collect(),
        _ => None,
    }
}

/// Converts ASCII to lower case, trims white space and replaces each run of it by one space.
fn collapse(text: &str) -> String {
    let space = |c: char| matches!(c, ' ' | '\t' | '\n' | '\u{b}' | '\u{c}' | '\r');
    let words: Vec<&str> = text.split(space).filter(|word| !word.is_empty()).collect();
    words.join(" ").to_ascii_lowercase()
}

/// Appends an element with its tag and length to `out`.
fn wrap(tag: u8, content: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    let length = content.len();
    if length < 0x80 {
        out.extend(u8::try_from(length));
    } else {
        let bytes: Vec<u8> = length
            .to_be_bytes()
            .into_iter()
            .skip_while(|byte| *byte == 0)
            .collect();
        out.extend(u8::try_from(bytes.len()).map(|count| 0x80 | count));
        out.extend(bytes);
    }
    out.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C = DE, O = "  Ünï  Corp ", OU = Multi + CN = "Weird   ROOT", emailAddress = A@B.example.
    /// According to openssl its hash is d38c07b3.
    const WEIRD: &[u8] = b"-----BEGIN CERTIFICATE-----\n\
        MIICJTCCAcugAwIBAgIUfrvpOSAdSzpiZVL7BO84zR0mlVIwCgYIKoZIzj0EAwIw\n\
        ZzELMAkGA1UEBhMCREUxFzAVBgNVBAoMDiAgw5xuw68gIENvcnAgMSMwDAYDVQQL\n\
        DAVNdWx0aTATBgNVBAMMDFdlaXJkICAgUk9PVDEaMBgGCSqGSIb3DQEJARYLQUBC\n\
        LmV4YW1wbGUwIBcNMjYxMTI1MDIxMzQwWhgPMjEyNjExMDEwMjEzNDBaMGcxCzAJ\n\
        BgNVBAYTAkRFMRcwFQYDVQQKDA4gIMOcbsOvICBDb3JwIDEjMAwGA1UECwwFTXVs\n\
        dGkwEwYDVQQDDAxXZWlyZCAgIFJPT1QxGjAYBgkqhkiG9w0BCQEWC0FAQi5leGFt\n\
        cGxlMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAES+QcQ7+5t455yKc/gKqkYlfz\n\
        +B7a4LDKUPFmok/z0bGY7YaWRThodqFEIlh2aHMRNrjGP0UYuq8kVMS8TqbVu6NT\n\
        MFEwHQYDVR0OBBYEFMTc8fC1+D1UqM32nUqkBPqHQvdfMB8GA1UdIwQYMBaAFMTc\n\
        8fC1+D1UqM32nUqkBPqHQvdfMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwID\n\
        SAAwRQIgQzc8JcNnV99gD6nKtIv16sKoOe37z5OKm/WTO1pgSr8CIQCzVovmC4dl\n\
        V5SmhO/SOhkEgxKrwoIFERisRQqc5tdOyA==\n\
        -----END CERTIFICATE-----\n";

    #[test]
    fn the_hash_equals_that_of_openssl() {
        let (_, pem) = x509_parser::pem::parse_x509_pem(WEIRD).unwrap();
        assert_eq!(format!("{:08x}", hash(&pem.contents).unwrap()), "d38c07b3");
        assert_eq!(hash(b"no certificate"), None);
    }

    #[test]
    fn white_space_is_collapsed_and_ascii_is_lower_case() {
        assert_eq!(collapse("  ÜNÏ \t Corp "), "ÜnÏ corp");
    }
}
