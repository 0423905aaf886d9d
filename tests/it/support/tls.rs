//! Certificates of the tests' own servers.

use std::sync::Arc;

use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::services;

/// A server configuration with a self-signed certificate, and that certificate as PEM, to be
/// trusted as a CA.
pub(crate) fn server(names: &[&str]) -> (ServerConfig, String) {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    of(&rcgen::CertificateParams::new(names).unwrap())
}

/// Like [`server`], with the given certificate parameters.
pub(crate) fn of(parameters: &rcgen::CertificateParams) -> (ServerConfig, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    let config = with(
        certificate.der().clone(),
        PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
    );
    (config, certificate.pem())
}

/// A server configuration whose certificate is signed by a new CA, and the CA's certificate as PEM.
pub(crate) fn signed(names: &[&str]) -> (ServerConfig, String) {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority
        .distinguished_name
        .push(DnType::CommonName, "CA of the team");
    let authority_key = KeyPair::generate().unwrap();
    let root = authority.self_signed(&authority_key).unwrap();
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(names)
        .unwrap()
        .signed_by(&key, &Issuer::new(authority, authority_key))
        .unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    (
        with(leaf.der().clone(), key),
        root.pem().replace("\r\n", "\n"),
    )
}

/// A server configuration with the certificate of the TLS registry, which [`services::tls_ca`]
/// signed.
pub(crate) fn of_the_services() -> ServerConfig {
    let certificate = CertificateDer::from_pem_file(services::tls_cert()).unwrap();
    with(
        certificate,
        PrivateKeyDer::from_pem_file(services::tls_key()).unwrap(),
    )
}

fn with(certificate: CertificateDer<'static>, key: PrivateKeyDer<'static>) -> ServerConfig {
    ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap()
}
