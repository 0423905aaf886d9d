//! Reads the PEM files of `certs.trust` and splits bundles into single certificates. A private key
//! is always refused.

use std::path::Path;

use x509_parser::prelude::{FromDer, X509Certificate};

use crate::pem;
use crate::resolve::image::Certificate;

/// The reason why a certificate file is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The file contains a private key.
    #[error("the file contains a private key, which everyone with the image could read")]
    PrivateKey,
    /// The file has no PEM block.
    #[error("the file is not PEM: it has no `-----BEGIN CERTIFICATE-----`")]
    NotPem,
    /// A block is malformed. The number starts at 1.
    #[error("PEM block {0} is broken: {1}")]
    Broken(usize, String),
    /// A block has another label.
    #[error("PEM block {0} is a {1}, not a CERTIFICATE")]
    Other(usize, String),
    /// A block in OpenSSL's format with trusted and rejected uses, which a trust store cannot
    /// represent.
    #[error("PEM block {0} is a TRUSTED CERTIFICATE, which names the uses that it is trusted for")]
    Trusted(usize),
    /// The DER content is not a valid certificate.
    #[error("certificate {0} cannot be read: {1}")]
    Unreadable(usize, String),
}

impl Error {
    /// The id of the violated rule. No policy can disable it.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::PrivateKey => "certs.private_key",
            _ => "certs.unreadable",
        }
    }

    /// Returns a hint for the user.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::PrivateKey => {
                "name a file that contains only the certificate; if the key was committed, treat it as disclosed"
            }
            Self::Trusted(_) => "`openssl x509 -in FILE -out NEW` writes only the certificate",
            Self::NotPem => "convert a DER file to PEM with `openssl x509 -inform der -in FILE`",
            _ => "`openssl x509 -noout -text -in FILE` shows its content",
        }
    }
}

/// The certificates of a file, in their order. Fails if one block is invalid or is not a
/// certificate.
pub fn parse(file: &Path, bytes: &[u8]) -> Result<Vec<Certificate>, Error> {
    // Search the raw text as well, so that a key in a malformed block is also found.
    if memchr::memmem::find(bytes, b"PRIVATE KEY-----").is_some() {
        return Err(Error::PrivateKey);
    }
    let blocks = pem::blocks(bytes).map_err(|(number, why)| Error::Broken(number, why))?;
    let mut certificates = Vec::new();
    for (n, block) in blocks.into_iter().enumerate() {
        match block.label.as_str() {
            "CERTIFICATE" | "X509 CERTIFICATE" => {
                certificates.push(certificate(file, n, block.bytes)?);
            }
            "TRUSTED CERTIFICATE" => return Err(Error::Trusted(n + 1)),
            _ => return Err(Error::Other(n + 1, block.label)),
        }
    }
    if certificates.is_empty() {
        Err(Error::NotPem)
    } else {
        Ok(certificates)
    }
}

fn certificate(file: &Path, number: usize, der: Vec<u8>) -> Result<Certificate, Error> {
    let unreadable = |why: String| Error::Unreadable(number + 1, why);
    let (rest, parsed) =
        X509Certificate::from_der(&der).map_err(|error| unreadable(error.to_string()))?;
    if !rest.is_empty() {
        return Err(unreadable("extra bytes follow it".to_owned()));
    }
    let (subject, not_after) = (
        parsed.subject().to_string(),
        parsed.validity().not_after.timestamp(),
    );
    Ok(Certificate {
        file: file.to_owned(),
        name: Certificate::file_name(file, number),
        pem: pem::encode("CERTIFICATE", &der),
        der,
        not_after,
        subject,
    })
}

/// Sorts by file and position, removes duplicates and makes the names unique.
#[must_use]
pub fn collected(mut all: Vec<Certificate>) -> Vec<Certificate> {
    let mut ders = std::collections::BTreeSet::new();
    let mut names = std::collections::BTreeSet::new();
    all.sort_by(|a, b| a.file.cmp(&b.file));
    all.retain(|certificate| ders.insert(certificate.der.clone()));
    for certificate in &mut all {
        let stem = certificate.name.trim_end_matches(".crt").to_owned();
        let mut number = 2;
        while !names.insert(certificate.name.clone()) {
            certificate.name = format!("{stem}.{number}.crt");
            number += 1;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn made(name: &str) -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        rcgen::CertificateParams::new(vec![name.to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap()
            .pem()
    }

    #[test]
    fn bundles_are_split_and_names_are_unique() {
        let bundle = format!("# first\n{}\n# second\r\n{}", made("a"), made("b"));
        let all = parse(Path::new("certs/My CA.PEM"), bundle.as_bytes()).unwrap();
        let names: Vec<_> = all
            .iter()
            .map(|certificate| certificate.name.clone())
            .collect();
        assert_eq!(names, ["my-ca.crt", "my-ca-2.crt"]);
        assert!(
            all[0].pem.starts_with("-----BEGIN CERTIFICATE-----\n")
                && all[0].pem.ends_with("-----\n")
        );
        let twice = parse(Path::new("other/my-ca.pem"), made("c").as_bytes()).unwrap();
        let all = collected([all.clone(), twice, all].concat());
        let names: Vec<_> = all
            .iter()
            .map(|certificate| certificate.name.as_str())
            .collect();
        assert_eq!(names, ["my-ca.crt", "my-ca-2.crt", "my-ca.2.crt"]);
    }

    #[test]
    fn certificates_are_read_in_every_text_layout() {
        let (a, b) = (made("a"), made("b"));
        let expected = parse(Path::new("x"), format!("{a}{b}").as_bytes()).unwrap();
        assert_eq!(expected.len(), 2);
        for text in [
            format!("{}{}", a.trim_end(), b.trim_end()),
            format!("Bag Attributes\n  friendlyName: a\n{a}subject=CN = b\n{b}end"),
            format!("{a}{b}")
                .replace("\r\n", "\n")
                .replace('\n', "\r\n"),
            format!("{a}{b}")
                .replace("BEGIN CERT", "BEGIN X509 CERT")
                .replace("END CERT", "END X509 CERT"),
            format!("{a}{b}").replace(['\n', '\r'], ""),
        ] {
            assert_eq!(
                parse(Path::new("x"), text.as_bytes()).unwrap(),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn files_without_valid_certificates_are_refused() {
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let block = |label: &str, body: &str| {
            format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
        };
        for (bytes, expected) in [
            (key.clone(), Error::PrivateKey),
            (format!("{}{key}", made("a")), Error::PrivateKey),
            (String::new(), Error::NotPem),
            ("hello".to_owned(), Error::NotPem),
            (
                block("X509 CRL", "AAAA"),
                Error::Other(1, "X509 CRL".to_owned()),
            ),
            (
                made("a") + &block("TRUSTED CERTIFICATE", "AAAA"),
                Error::Trusted(2),
            ),
        ] {
            assert_eq!(
                parse(Path::new("x"), bytes.as_bytes()).unwrap_err(),
                expected
            );
        }
        for broken in [
            block("CERTIFICATE", "AAAA"),
            block("CERTIFICATE", "!"),
            "-----BEGIN CERTIFICATE-----\nAAAA".to_owned(),
        ] {
            assert_eq!(
                parse(Path::new("x"), broken.as_bytes()).unwrap_err().rule(),
                "certs.unreadable"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_cause_a_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            drop(parse(Path::new("x"), &bytes));
            let body = STANDARD.encode(&bytes);
            let text = format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
            drop(parse(Path::new("x"), text.as_bytes()));
        }
    }
}
