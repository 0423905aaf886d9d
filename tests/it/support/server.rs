//! A small HTTP server in the test's process: a function from request to answer that records every
//! request.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};

/// A request as the server received it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// With the query.
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// Truncated if the client disconnected.
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The path without its query.
    pub(crate) fn route(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }

    /// The values of a key of the query.
    pub(crate) fn query(&self, key: &str) -> Vec<String> {
        let query = self.path.split_once('?').map_or("", |(_, query)| query);
        let pairs = url::form_urlencoded::parse(query.as_bytes());
        pairs
            .filter(|(name, _)| name == key)
            .map(|(_, value)| value.into_owned())
            .collect()
    }
}

/// The server's reaction to a request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// A complete answer.
    Full {
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    },
    /// The head and half of the body, then a broken connection.
    Half {
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    },
    /// The connection is closed without an answer.
    Close,
    /// Bytes that are neither TLS nor HTTP, then a closed connection.
    Garbled,
    /// No answer for a long time.
    Stall,
}

impl Answer {
    /// An answer with a body and no headers.
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::Full {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    pub(crate) fn header(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        if let Self::Full { headers, .. } | Self::Half { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.to_string()));
        }
        self
    }
}

/// The function that answers.
pub(crate) type Handler =
    Arc<dyn Fn(Seen) -> futures_util::future::BoxFuture<'static, Answer> + Send + Sync>;

/// A handler from a synchronous function.
pub(crate) fn handler(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Handler {
    Arc::new(move |seen| {
        let answer = answer(&seen);
        Box::pin(async move { answer })
    })
}

/// A server that runs until it is dropped.
pub(crate) struct Server {
    pub(crate) port: u16,
    address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    refuses_plain: Arc<AtomicBool>,
    /// Taken on drop.
    runtime: Option<tokio::runtime::Runtime>,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Waiting for the thread would panic within another runtime, where many tests run.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Server {
    /// Starts on a free port.
    pub(crate) fn start(handler: Handler) -> Self {
        Self::on(0, None, handler)
    }

    /// Starts on `port` of 127.0.0.1 (0: a free one), with TLS if a configuration is given.
    pub(crate) fn on(
        port: u16,
        tls: Option<tokio_rustls::rustls::ServerConfig>,
        handler: Handler,
    ) -> Self {
        Self::at("127.0.0.1", port, tls, handler)
    }

    /// Starts on `port` of an address of this machine.
    pub(crate) fn at(
        address: &str,
        port: u16,
        tls: Option<tokio_rustls::rustls::ServerConfig>,
        handler: Handler,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = listen(&runtime, address, port);
        let port = listener.local_addr().unwrap().port();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let log = seen.clone();
        let refuses_plain = Arc::new(AtomicBool::new(false));
        let refuses = refuses_plain.clone();
        let tls = tls.map(|config| tokio_rustls::TlsAcceptor::from(Arc::new(config)));
        drop(runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (handler, log, tls) = (handler.clone(), log.clone(), tls.clone());
                let refuses = refuses.load(Ordering::SeqCst);
                let Ok((stream, wire)) = with_wire(stream) else {
                    continue;
                };
                drop(tokio::spawn(async move {
                    match tls {
                        None => serve(stream, false, wire, handler, log).await,
                        Some(_) if refuses && is_plain(&stream).await => {
                            let answer = self::handler(|_| {
                                Answer::new(400, "an HTTP request to an HTTPS server")
                            });
                            serve(stream, false, wire, answer, Arc::default()).await;
                        }
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                                serve(stream, http2, wire, handler, log).await;
                            }
                        }
                    }
                }));
            }
        }));
        Self {
            port,
            address: address.to_owned(),
            seen,
            refuses_plain,
            runtime: Some(runtime),
        }
    }

    /// For a server with TLS: answers a plain HTTP request with 400, as many servers do; otherwise
    /// the connection is closed. Neither is recorded.
    pub(crate) fn refuse_plain(&self) {
        self.refuses_plain.store(true, Ordering::SeqCst);
    }

    /// `ADDRESS:PORT`.
    pub(crate) fn host(&self) -> String {
        format!("{}:{}", self.address, self.port)
    }

    /// Every request so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Opens a listener for a runtime other than the caller's.
pub(crate) fn listen(
    runtime: &tokio::runtime::Runtime,
    address: &str,
    port: u16,
) -> tokio::net::TcpListener {
    let listener = std::net::TcpListener::bind((address, port)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let _within = runtime.enter();
    tokio::net::TcpListener::from_std(listener).unwrap()
}

/// The raw connection below TLS.
type Wire = Arc<std::net::TcpStream>;

/// Returns a connection with a second handle on it.
fn with_wire(stream: tokio::net::TcpStream) -> std::io::Result<(tokio::net::TcpStream, Wire)> {
    let stream = stream.into_std()?;
    let wire = Arc::new(stream.try_clone()?);
    Ok((tokio::net::TcpStream::from_std(stream)?, wire))
}

/// True if the first bytes are not a TLS handshake.
async fn is_plain(stream: &tokio::net::TcpStream) -> bool {
    let mut first = [0];
    stream
        .peek(&mut first)
        .await
        .is_ok_and(|length| length == 1 && first[0] != 0x16)
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    http2: bool,
    wire: Wire,
    handler: Handler,
    log: Arc<Mutex<Vec<Seen>>>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (wire, handler, log) = (wire.clone(), handler.clone(), log.clone());
        async move { one(request, &wire, handler, log).await }
    });
    let stream = TokioIo::new(stream);
    // Broken connections are part of many tests.
    if http2 {
        let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        drop(builder.serve_connection(stream, service).await);
    } else {
        drop(
            hyper::server::conn::http1::Builder::new()
                .serve_connection(stream, service)
                .await,
        );
    }
}

type Body = http_body_util::combinators::BoxBody<Bytes, std::io::Error>;

async fn one(
    request: Request<Incoming>,
    wire: &std::net::TcpStream,
    handler: Handler,
    log: Arc<Mutex<Vec<Seen>>>,
) -> Result<Response<Body>, std::io::Error> {
    let (head, mut incoming) = request.into_parts();
    let mut body = Vec::new();
    while let Some(Ok(frame)) = incoming.frame().await {
        if let Some(piece) = frame.data_ref() {
            body.extend_from_slice(piece);
        }
    }
    let text =
        |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let seen = {
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        let mut headers: Vec<(String, String)> = head
            .headers
            .iter()
            .map(|(key, value)| (key.to_string(), text(value)))
            .collect();
        // HTTP/2 has the authority instead of the Host header.
        if let Some(authority) = head
            .uri
            .authority()
            .filter(|_| head.version == hyper::Version::HTTP_2)
        {
            headers.push(("host".to_owned(), authority.to_string()));
        }
        let seen = Seen {
            method: head.method.to_string(),
            path: head
                .uri
                .path_and_query()
                .map(ToString::to_string)
                .unwrap_or_default(),
            headers,
            body,
        };
        log.push(seen.clone());
        seen
    };
    let is_head = seen.method == "HEAD";
    let (status, headers, body, half) = match handler(seen).await {
        Answer::Full {
            status,
            headers,
            body,
        } => (status, headers, body, false),
        Answer::Half {
            status,
            headers,
            body,
        } => (status, headers, body, true),
        Answer::Garbled => {
            // The header of a TLS record, and bytes that cannot be decrypted.
            let mut record = vec![0x17, 3, 3, 0, 64];
            record.resize(5 + 64, b'?');
            std::io::Write::write_all(&mut &*wire, &record)?;
            return Err(std::io::Error::other("garbled by the test"));
        }
        Answer::Close => return Err(std::io::Error::other("closed by the test")),
        Answer::Stall => {
            tokio::time::sleep(std::time::Duration::from_mins(10)).await;
            return Err(std::io::Error::other("stalled by the test"));
        }
    };
    let mut response = Response::builder().status(status);
    let length = headers
        .iter()
        .any(|(key, _)| key.eq_ignore_ascii_case("content-length"));
    for (key, value) in headers {
        response = response.header(key, value);
    }
    if !length {
        response = response.header("content-length", body.len());
    }
    let body = if is_head { Vec::new() } else { body };
    let body: Body = if half {
        let piece = Bytes::copy_from_slice(&body[..body.len() / 2]);
        let cut = async {
            // The earlier bytes are already sent.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            Err(std::io::Error::other("cut by the test"))
        };
        let first = futures_util::stream::iter([Ok(Frame::data(piece))]);
        StreamBody::new(futures_util::StreamExt::chain(
            first,
            futures_util::stream::once(cut),
        ))
        .boxed()
    } else {
        Full::new(Bytes::from(body))
            .map_err(|never: Infallible| match never {})
            .boxed()
    };
    response.body(body).map_err(std::io::Error::other)
}
