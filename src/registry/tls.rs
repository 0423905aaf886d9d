//! TLS with the system's root certificates and the configured ones.

use std::error::Error as StdError;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

/// Parses the certificates of a PEM file. The error is a clause without the file name.
pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(list) if list.is_empty() => Err("it contains no certificate".to_owned()),
        Ok(list) => Ok(list),
        Err(_) => Err("it is not in PEM format".to_owned()),
    }
}

/// The TLS settings of a client that trusts the system's roots and `extra`.
pub(super) fn client(extra: &[CertificateDer<'static>]) -> Result<ClientConfig, String> {
    let mut roots = extra.to_vec();
    // A machine without a trust store, such as a scratch container, can still use plain HTTP, and
    // TLS with `ca`.
    roots.extend(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let mut config = if roots.is_empty() {
        builder
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth()
    } else {
        let verifier = CertificateVerifier::new(&roots, provider)?;
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth()
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Verifies certificates as usual, but also accepts a certificate that is itself a trusted root.
///
/// `openssl req -x509` creates a server certificate with CA:TRUE, as in Docker's documentation.
/// webpki rejects a CA as a server certificate; curl, skopeo and Docker accept it if it equals a
/// root.
#[derive(Debug)]
pub(crate) struct CertificateVerifier {
    usual: Arc<WebPkiServerVerifier>,
    roots: Vec<CertificateDer<'static>>,
}

impl CertificateVerifier {
    /// Creates a verifier that trusts `roots`. Fails if no root can be used.
    pub(crate) fn new(
        roots: &[CertificateDer<'static>],
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots.iter().cloned());
        let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider).build();
        Ok(Self {
            usual: usual.map_err(|error| error.to_string())?,
            roots: roots.to_vec(),
        })
    }

    /// Verifies the name and the validity period of a certificate that is itself a root.
    fn verify_root(
        certificate: &CertificateDer<'_>,
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
        let parsed = x509_parser::parse_x509_certificate(certificate);
        let (_, parsed) = parsed.map_err(|_| CertificateError::BadEncoding)?;
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let validity = parsed.validity();
        if seconds < validity.not_before.timestamp() {
            return Err(CertificateError::NotValidYet.into());
        }
        if seconds > validity.not_after.timestamp() {
            return Err(CertificateError::Expired.into());
        }
        Ok(ServerCertVerified::assertion())
    }
}

impl ServerCertVerifier for CertificateVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let usual = self
            .usual
            .verify_server_cert(certificate, intermediates, name, ocsp, now);
        match &usual {
            // rustls has no variant for webpki's "CA used as end entity".
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(_)))
                if self.roots.iter().any(|root| root == certificate) =>
            {
                Self::verify_root(certificate, name, now)
            }
            _ => usual,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

/// Finds the TLS error in a chain of errors.
pub(crate) fn find_tls_error<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e rustls::Error> {
    find(error)
}

/// Finds the first error of type `T` in a chain. `io::Error::source` skips the error that the
/// `io::Error` wraps, so this function reads the wrapped error too.
pub(super) fn find<'e, T: StdError + 'static>(
    error: &'e (dyn StdError + 'static),
) -> Option<&'e T> {
    let mut last = error;
    loop {
        if let Some(found) = last.downcast_ref::<T>() {
            return Some(found);
        }
        let inner = last
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        let inner = inner.map(|inner| -> &(dyn StdError + 'static) { inner });
        last = inner.or_else(|| last.source())?;
    }
}

/// Describes a TLS error in a sentence. rustls prints most of its values as identifiers.
pub(crate) fn describe(error: &rustls::Error) -> String {
    use rustls::Error as Tls;
    match error {
        Tls::InvalidCertificate(bad) => {
            format!(
                "the server's certificate is not accepted: {}",
                describe_certificate(bad)
            )
        }
        Tls::NoCertificatesPresented => "the server has no certificate".to_owned(),
        Tls::AlertReceived(rustls::AlertDescription::CertificateRequired) => {
            "the server requires a client certificate".to_owned()
        }
        Tls::AlertReceived(alert) => {
            format!(
                "the server ended the handshake: {}",
                words(&format!("{alert:?}"))
            )
        }
        Tls::PeerIncompatible(_) => {
            "TLS failed: golden and the server have no version or algorithm in common".to_owned()
        }
        Tls::InvalidMessage(_)
        | Tls::InappropriateMessage { .. }
        | Tls::InappropriateHandshakeMessage { .. } => {
            "TLS failed: the response of the server is invalid".to_owned()
        }
        Tls::PeerMisbehaved(_) => "TLS failed: the server violates the protocol".to_owned(),
        Tls::DecryptError => "TLS failed: a message of the server cannot be decrypted".to_owned(),
        Tls::PeerSentOversizedRecord => {
            "TLS failed: a message of the server is too large".to_owned()
        }
        Tls::General(text) => format!("TLS failed: {text}"),
        _ => "TLS failed".to_owned(),
    }
}

fn describe_certificate(bad: &CertificateError) -> String {
    use CertificateError as Bad;
    let text = match bad {
        Bad::UnknownIssuer => "it is signed by an authority that is not trusted",
        Bad::Expired | Bad::ExpiredContext { .. } => "it has expired",
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => "it is not valid yet",
        Bad::NotValidForName | Bad::NotValidForNameContext { .. } => "it is for another name",
        Bad::Revoked => "it is revoked",
        Bad::BadSignature => "its signature is invalid",
        Bad::InvalidPurpose | Bad::InvalidPurposeContext { .. } => {
            "it is not a certificate for servers"
        }
        Bad::BadEncoding => "it cannot be parsed",
        Bad::Other(other) => match other.to_string().as_str() {
            "CaUsedAsEndEntity" => "it is a CA certificate that is used as server certificate",
            name => return words(name),
        },
        _ => "its signature algorithm is not supported",
    };
    text.to_owned()
}

/// Converts `CaUsedAsEndEntity` to `ca used as end entity`.
fn words(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 8);
    for (n, character) in name.chars().enumerate() {
        if character.is_ascii_uppercase() && n > 0 {
            text.push(' ');
        }
        text.push(character.to_ascii_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A self-signed certificate with CA:TRUE.
    fn own_root(names: &[&str]) -> CertificateDer<'static> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut parameters = rcgen::CertificateParams::new(names).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2030, 1, 1);
        parameters
            .self_signed(&rcgen::KeyPair::generate().unwrap())
            .unwrap()
            .der()
            .clone()
    }

    #[test]
    fn a_root_is_accepted_as_server_certificate_for_its_name_while_it_is_valid() {
        let (own, other) = (own_root(&["registry.corp"]), own_root(&["registry.corp"]));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = CertificateVerifier::new(std::slice::from_ref(&own), provider).unwrap();
        let verify = |certificate: &CertificateDer<'_>, name: &str, year: u64| {
            let now = UnixTime::since_unix_epoch(Duration::from_hours((year - 1970) * 8766));
            let name = ServerName::try_from(name.to_owned()).unwrap();
            let result = verifier.verify_server_cert(certificate, &[], &name, &[], now);
            result.map_or_else(|error| describe(&error), |_| "accepted".to_owned())
        };
        let refused = "the server's certificate is not accepted:";
        assert_eq!(verify(&own, "registry.corp", 2026), "accepted");
        assert_eq!(
            verify(&own, "other.corp", 2026),
            format!("{refused} it is for another name")
        );
        assert_eq!(
            verify(&own, "registry.corp", 2031),
            format!("{refused} it has expired")
        );
        assert_eq!(
            verify(&own, "registry.corp", 2019),
            format!("{refused} it is not valid yet")
        );
        assert_eq!(
            verify(&other, "registry.corp", 2026),
            format!("{refused} it is a CA certificate that is used as server certificate")
        );
    }

    #[test]
    fn a_tls_error_is_described_without_identifiers() {
        use rustls::{AlertDescription, Error, PeerIncompatible};
        for (error, text) in [
            (
                Error::AlertReceived(AlertDescription::HandshakeFailure),
                "the server ended the handshake: handshake failure",
            ),
            (
                Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon),
                "TLS failed: golden and the server have no version or algorithm in common",
            ),
            (
                Error::AlertReceived(AlertDescription::CertificateRequired),
                "the server requires a client certificate",
            ),
        ] {
            assert_eq!(describe(&error), text);
        }
    }
}
