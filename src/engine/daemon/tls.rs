//! TLS connections to an engine, with Docker's three files: ca.pem, cert.pem and key.pem.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::super::Error;
use crate::registry::tls::{CertificateVerifier, certificates, describe, find_tls_error};
use crate::workspace::fs;

/// A directory with ca.pem, cert.pem and key.pem. Each file may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsDirectory {
    /// The path of the directory.
    pub path: PathBuf,
    /// The directory that the files must be in after symbolic links are followed. `None` means that
    /// they may be anywhere.
    pub root: Option<PathBuf>,
}

impl From<PathBuf> for TlsDirectory {
    fn from(path: PathBuf) -> Self {
        Self { path, root: None }
    }
}

impl TlsDirectory {
    /// Reads a file. Returns `None` if it does not exist.
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let path = self.path.join(name);
        let read = match &self.root {
            Some(root) => fs::read_in(root, &path, MAX_FILE),
            None => fs::read_up_to(&path, MAX_FILE),
        };
        fs::if_exists(read).map_err(|error| Error::Address {
            what: format!("{} cannot be read: {}", path.display(), error.source),
        })
    }
}

/// The TLS settings of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) struct Settings {
    /// The directory of the certificates and the key.
    pub(in crate::engine) directory: Option<TlsDirectory>,
    /// True if the certificate of the engine is verified.
    pub(in crate::engine) verify: bool,
}

/// A TLS client with valid settings.
#[derive(Clone)]
pub(in crate::engine) struct Client(Arc<ClientConfig>);

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    /// Reads the files. Fails if a file is unreadable or invalid, or if cert.pem and key.pem do not
    /// come together.
    pub(in crate::engine) fn read(settings: &Settings) -> Result<Self, Error> {
        let read = |name: &str| match &settings.directory {
            Some(directory) => directory.read(name),
            None => Ok(None),
        };
        let (ca, certificate, key) = (read("ca.pem")?, read("cert.pem")?, read("key.pem")?);
        let place = settings
            .directory
            .as_ref()
            .map_or(Path::new("."), |directory| &directory.path)
            .display()
            .to_string();
        let wrong = |what: String| Error::Address {
            what: format!("cannot set up TLS to the engine: {what} (in {place})"),
        };

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match (settings.verify, ca) {
            (false, _) => Arc::new(AcceptAny(Arc::clone(&provider))),
            (true, None) => {
                return Err(wrong(
                    "ca.pem is missing; it is needed to verify the engine".into(),
                ));
            }
            (true, Some(pem)) => {
                let roots =
                    certificates(&pem).map_err(|error| wrong(format!("ca.pem: {error}")))?;
                let verifier = CertificateVerifier::new(&roots, Arc::clone(&provider));
                Arc::new(verifier.map_err(|error| wrong(format!("ca.pem: {error}")))?)
            }
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let config = match (certificate, key) {
            (Some(certificate), Some(key)) => {
                let chain = certificates(&certificate)
                    .map_err(|error| wrong(format!("cert.pem: {error}")))?;
                let key = PrivateKeyDer::from_pem_slice(&key)
                    .map_err(|error| wrong(format!("key.pem: {error}")))?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| wrong(error.to_string()))?
            }
            (None, None) => builder.with_no_client_auth(),
            (Some(_), None) => return Err(wrong("cert.pem exists, but key.pem is missing".into())),
            (None, Some(_)) => return Err(wrong("key.pem exists, but cert.pem is missing".into())),
        };
        Ok(Self(Arc::new(config)))
    }

    /// The same settings with HTTP/2, which the client must announce in the TLS handshake (RFC
    /// 9113, section 3.2).
    #[must_use]
    pub(in crate::engine) fn for_http2(self) -> Self {
        let mut config = ClientConfig::clone(&self.0);
        config.alpn_protocols = vec![b"h2".to_vec()];
        Self(Arc::new(config))
    }

    /// Performs the TLS handshake over a connection to `host`. Fails if `host` is not a valid
    /// server name or the handshake fails.
    pub(in crate::engine) async fn connect(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let connected = TlsConnector::from(Arc::clone(&self.0))
            .connect(name, stream)
            .await;
        connected.map_err(|error| match find_tls_error(&error) {
            Some(problem) => io::Error::new(error.kind(), describe(problem)),
            None => error,
        })
    }
}

/// The size limit of a certificate or key file.
const MAX_FILE: u64 = 1 << 20;

/// Accepts any certificate. `DOCKER_TLS` without `DOCKER_TLS_VERIFY`, and `SkipTLSVerify` of a
/// Docker context, require this.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_a_workspace_stay_in_the_workspace() {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().canonicalize().unwrap();
        let (root, own) = (base.join("workspace"), base.join("own"));
        std::fs::create_dir_all(root.join("certs")).unwrap();
        std::fs::create_dir(&own).unwrap();
        fs::write_cached(&own.join("key.pem"), b"own").unwrap();
        fs::write_cached(&root.join("certs/ca.pem"), b"ca").unwrap();
        let checked = TlsDirectory {
            path: root.join("certs"),
            root: Some(root.clone()),
        };
        assert_eq!(checked.read("ca.pem").unwrap().as_deref(), Some(&b"ca"[..]));
        assert!(checked.read("key.pem").unwrap().is_none());
        // The directory was checked, and is replaced before it is read.
        std::fs::remove_dir_all(root.join("certs")).unwrap();
        std::os::unix::fs::symlink(&own, root.join("certs")).unwrap();
        let error = checked.read("key.pem").unwrap_err().to_string();
        assert!(error.contains("leads out of the workspace"), "{error}");
        let trusted = TlsDirectory::from(root.join("certs"));
        assert_eq!(
            trusted.read("key.pem").unwrap().as_deref(),
            Some(&b"own"[..])
        );
    }
}
