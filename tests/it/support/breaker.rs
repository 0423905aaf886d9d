//! A proxy before a registry that breaks one request, or everything from one request on, and shows every step to a
//! watcher.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection is cut before the registry sees the request.
    CutBefore,
    /// The registry does it, and the answer is lost.
    CutAfter,
    /// 503, and the registry never sees it.
    Unavailable,
    /// The registry does it, and the answer is a 500.
    Failed,
    /// The body of the answer has one byte changed.
    Corrupt,
    /// The answer comes late.
    Slow,
}

/// Called after each request that the registry has seen.
pub(crate) type Watcher = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// The proxy.
pub(crate) struct Proxy {
    /// HOST:PORT.
    pub(crate) host: String,
    shared: Arc<Mutex<Shared>>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    log: Vec<String>,
    /// The first request that is broken, how, and whether all after it are, too.
    fault: Option<(usize, Fault, bool)>,
    watcher: Option<Watcher>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    /// A proxy before `upstream`, a HOST:PORT.
    pub(crate) async fn start(upstream: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Mutex::new(Shared::default()));
        // Whoever installed it before did the same.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let (state, upstream) = (Arc::clone(&shared), upstream.to_owned());
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let (state, client, upstream) = (Arc::clone(&state), client.clone(), upstream.clone());
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let (state, client, upstream) =
                            (Arc::clone(&state), client.clone(), upstream.clone());
                        async move { pass(request, &state, &client, &upstream).await }
                    });
                    // A cut connection is what is wanted.
                    drop(
                        hyper::server::conn::http1::Builder::new()
                            .serve_connection(TokioIo::new(stream), service)
                            .await,
                    );
                });
            }
        });
        Self { host, shared, task }
    }

    /// Breaks request `index` (from 0, counted from now), and all after it when `on`.
    pub(crate) fn break_at(&self, index: usize, fault: Fault, on: bool) {
        let mut shared = self.shared.lock().unwrap();
        shared.log.clear();
        shared.fault = Some((index, fault, on));
    }

    /// Breaks nothing any more, and counts from 0.
    pub(crate) fn heal(&self) {
        let mut shared = self.shared.lock().unwrap();
        shared.log.clear();
        shared.fault = None;
    }

    /// The requests since the last call of `break_at` or `heal`: method and path.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.lock().unwrap().log.clone()
    }

    /// Calls `watcher` after each request that the registry has seen.
    pub(crate) fn watch(&self, watcher: Watcher) {
        self.shared.lock().unwrap().watcher = Some(watcher);
    }
}

/// A cut connection: hyper closes it when the service fails.
#[derive(Debug)]
struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cut")
    }
}

impl std::error::Error for Cut {}

async fn pass(
    request: Request<Incoming>,
    state: &Mutex<Shared>,
    client: &reqwest::Client,
    upstream: &str,
) -> Result<Response<Full<Bytes>>, Cut> {
    let fault = {
        let mut shared = state.lock().unwrap();
        let index = shared.log.len();
        shared.log.push(format!("{} {}", request.method(), request.uri().path()));
        shared.fault.filter(|(at, _, on)| index == *at || (*on && index > *at)).map(|(_, fault, _)| fault)
    };
    match fault {
        Some(Fault::CutBefore) => return Err(Cut),
        Some(Fault::Unavailable) => return Ok(status(503)),
        _ => {}
    }
    let (mut answer, changes) = forward(request, client, upstream).await;
    let watcher = state.lock().unwrap().watcher.clone();
    if let Some(watcher) = watcher.filter(|_| changes) {
        watcher().await;
    }
    match fault {
        Some(Fault::CutAfter) => Err(Cut),
        Some(Fault::Failed) => Ok(status(500)),
        Some(Fault::Slow) => {
            tokio::time::sleep(std::time::Duration::from_millis(60)).await;
            Ok(answer)
        }
        Some(Fault::Corrupt) => {
            let body: Result<_, Infallible> = answer.body_mut().collect().await;
            let mut bytes = body.unwrap().to_bytes().to_vec();
            if let Some(byte) = bytes.get_mut(10) {
                *byte ^= 1;
            }
            *answer.body_mut() = Full::new(bytes.into());
            Ok(answer)
        }
        Some(Fault::CutBefore | Fault::Unavailable) | None => Ok(answer),
    }
}

async fn forward(
    request: Request<Incoming>,
    client: &reqwest::Client,
    upstream: &str,
) -> (Response<Full<Bytes>>, bool) {
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return (status(400), false) };
    let url = format!("http://{upstream}{}", parts.uri.path_and_query().unwrap());
    let mut headers = parts.headers.clone();
    // The registry makes its Location from it; it has to lead back to the proxy.
    headers.remove("content-length");
    let changes = parts.method == "PUT" && parts.uri.path().contains("/manifests/");
    let sent = client.request(parts.method.clone(), url).headers(headers).body(body.to_bytes()).send().await;
    let Ok(sent) = sent else { return (status(502), false) };
    let mut answer = Response::builder().status(sent.status());
    for (key, value) in sent.headers() {
        let drop_length = parts.method != "HEAD" && key == "content-length";
        if key != "transfer-encoding" && !drop_length {
            answer = answer.header(key, value);
        }
    }
    let bytes = sent.bytes().await.unwrap_or_default();
    (answer.body(Full::new(bytes)).unwrap(), changes)
}

fn status(code: u16) -> Response<Full<Bytes>> {
    Response::builder().status(code).body(Full::default()).unwrap()
}
