//! Certificates of the tests' own servers.

use std::sync::Arc;

use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// A server's settings with a certificate that signs itself, and that certificate as PEM, to be trusted as a CA.
pub(crate) fn server(names: &[&str]) -> (ServerConfig, String) {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    of(&rcgen::CertificateParams::new(names).unwrap())
}

/// As [`server`], with parameters of the caller's own.
pub(crate) fn of(parameters: &rcgen::CertificateParams) -> (ServerConfig, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    (config, certificate.pem())
}
