//! Listens for connections, with TLS if configured, and serves each one in its own task.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::service::{ServeRules, Service};
use super::{Error, Store};

/// The timeout for the head of a request and for the TLS handshake.
const HEAD_TIMEOUT: Duration = Duration::from_mins(1);

/// A registry that listens but does not respond yet.
pub struct Listening {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    service: Service,
    address: SocketAddr,
}

/// Starts to listen. `tls` contains the paths of the certificate chain and the key. Fails if the
/// address is not available or the certificate cannot be used, or if other machines can reach the
/// address and TLS or a login is missing.
pub async fn listen(
    store: Store,
    rules: ServeRules,
    address: SocketAddr,
    tls: Option<(&Path, &Path)>,
) -> Result<Listening, Error> {
    if !address.ip().to_canonical().is_loopback() && (tls.is_none() || rules.users.is_none()) {
        return Err(Error::Exposed(address));
    }
    let tls = tls
        .map(|(certificate, key)| acceptor(certificate, key))
        .transpose()?;
    let failed = |source| Error::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok(Listening {
        listener,
        tls,
        service: Service::new(store, rules),
        address,
    })
}

impl Listening {
    /// The address, with the port that the operating system chose if port 0 was requested.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The scheme of the URL: `http` or `https`.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Responds to requests until the future is dropped.
    pub async fn run(self) -> Result<(), Error> {
        loop {
            let socket = match self.listener.accept().await {
                Ok((socket, _)) => socket,
                // The client disconnected, or too many files are open. Continue with other clients.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            // Responses are small; a wait for a full packet would only delay them.
            drop(socket.set_nodelay(true));
            let (tls, service) = (self.tls.clone(), self.service.clone());
            drop(tokio::spawn(async move {
                match tls {
                    None => serve(socket, service).await,
                    Some(tls) => {
                        if let Ok(Ok(socket)) =
                            tokio::time::timeout(HEAD_TIMEOUT, tls.accept(socket)).await
                        {
                            serve(socket, service).await;
                        }
                    }
                }
            }));
        }
    }
}

/// Serves the requests of one connection.
async fn serve(socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, service: Service) {
    let answer = service_fn(move |request: hyper::Request<Incoming>| {
        let service = service.clone();
        async move {
            let (method, path) = (request.method().clone(), request.uri().path().to_owned());
            let request = request.map(|body| body.map_err(std::io::Error::other).boxed_unsync());
            let answer = service.answer(request).await;
            tracing::info!("{method} {path} {}", answer.status().as_u16());
            Ok::<_, std::convert::Infallible>(answer)
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(socket), answer)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "connection closed");
    }
}

fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, Error> {
    let wrong = |path: &Path, what: String| Error::Certificate {
        path: path.to_owned(),
        what,
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(certificate, error.to_string()))?;
    let secret =
        PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(chain, secret)
        })
        .map_err(|error| wrong(certificate, error.to_string()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Parses the address to listen on, `ADDRESS:PORT`. Of the names, only `localhost` is accepted,
/// because others may have several addresses.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let number = text
        .strip_prefix("localhost:")
        .map(|port| format!("127.0.0.1:{port}"));
    number.as_deref().unwrap_or(text).parse().map_err(|_| {
        "write an IP address and a port, such as 127.0.0.1:5000 or [::1]:5000; localhost is 127.0.0.1"
            .to_owned()
    })
}
