//! A proxy between golden and a registry. It injects a fault into one request, or into
//! that one and all later ones, and reports every change to a watcher.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::registry::Instead;
use super::server::{Answer, Handler, Seen, Server};
use super::{services, tls};

/// The injected fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection is closed, and the registry never sees the request.
    CutBefore,
    /// The registry handles the request, and its answer is lost.
    CutAfter,
    /// The answer ends in the middle of its body.
    CutAnswer,
    /// The registry handles the request, and its answer arrives as random bytes, not even valid
    /// TLS.
    Garbled,
    /// The registry receives half of the body, without an end.
    HalfBody,
    /// 503 instead of the registry's answer.
    Unavailable,
    /// 429 with `Retry-After: 0` instead of the registry's answer.
    TooMany,
    /// The registry handles the request, and the answer is a 500.
    Failed,
    /// The answer is delayed.
    Late,
    /// One byte of the request's body is changed.
    CorruptRequest,
    /// One byte of the answer's body is changed.
    CorruptAnswer,
    /// The registry handles the request, and the answer never arrives.
    Held,
}

impl Fault {
    /// All faults except `Held`, which never ends.
    pub(crate) const ALL: [Self; 11] = [
        Self::CutBefore,
        Self::CutAfter,
        Self::CutAnswer,
        Self::Garbled,
        Self::HalfBody,
        Self::Unavailable,
        Self::TooMany,
        Self::Failed,
        Self::Late,
        Self::CorruptRequest,
        Self::CorruptAnswer,
    ];

    /// True if a byte is changed, which a client cannot detect in content without a digest.
    pub(crate) const fn corrupts(self) -> bool {
        matches!(self, Self::CorruptRequest | Self::CorruptAnswer)
    }
}

/// Called after each change in the registry, before the answer is returned.
pub(crate) type Watcher = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

pub(crate) struct FaultProxy {
    server: Server,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    log: Vec<String>,
    /// The first request with a fault, the fault, and true if all later requests have it too.
    fault: Option<(usize, Fault, bool)>,
    watcher: Option<Watcher>,
    /// True if requests of other programs pass unchanged and uncounted.
    only_golden: bool,
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a proxy for the registry at `upstream` (HOST:PORT, plain HTTP). `fault` names the number
/// of a request and its fault.
pub(crate) fn fault_proxy(upstream: &str, fault: Option<(usize, Fault)>) -> FaultProxy {
    let proxy = FaultProxy::start(None, Upstream::plain(upstream));
    lock(&proxy.shared).fault = fault.map(|(index, fault)| (index, fault, false));
    proxy
}

/// Starts a proxy for the TLS registry at `upstream`. The proxy also uses TLS, with a certificate
/// of the same authority, and offers HTTP/2 if requested: there a fault ends one request, not its
/// connection.
pub(crate) fn fault_proxy_with_tls(upstream: &str, http2: bool) -> FaultProxy {
    let mut config = tls::of_the_services();
    config.alpn_protocols = if http2 {
        vec![b"h2".to_vec()]
    } else {
        Vec::new()
    };
    FaultProxy::start(Some(config), Upstream::with_tls(upstream))
}

/// A proxy that answers some requests itself.
pub(crate) fn answering(
    upstream: &str,
    instead: impl Fn(&Seen) -> Option<Answer> + Send + Sync + 'static,
) -> Server {
    let (upstream, instead) = (Upstream::plain(upstream), Arc::new(instead) as Instead);
    Server::start(Arc::new(move |seen: Seen| {
        let (upstream, instead) = (upstream.clone(), instead.clone());
        Box::pin(async move {
            match instead(&seen) {
                Some(answer) => answer,
                None => upstream.forward(seen).await,
            }
        })
    }))
}

/// A proxy that changes some requests.
pub(crate) fn rewriting(
    upstream: &str,
    change: impl Fn(&mut Seen) + Send + Sync + 'static,
) -> Server {
    let (upstream, change) = (Upstream::plain(upstream), Arc::new(change));
    Server::start(Arc::new(move |mut seen: Seen| {
        change(&mut seen);
        let upstream = upstream.clone();
        Box::pin(async move { upstream.forward(seen).await })
    }))
}

/// A proxy whose registry shows a change late. For `lag` after a change, it returns the old tags and
/// digests, and with `lists` also the old tag list.
pub(crate) fn lagging(upstream: &str, lag: Duration, lists: bool) -> Server {
    let upstream = Upstream::plain(upstream);
    let old: Arc<Mutex<BTreeMap<String, (Instant, Answer)>>> = Arc::default();
    Server::start(Arc::new(move |seen: Seen| {
        let (upstream, old) = (upstream.clone(), old.clone());
        Box::pin(async move {
            if changes(&seen) {
                let (repository, target) = seen.route().rsplit_once("/manifests/").unwrap();
                let mut changed = vec![format!("{repository}/manifests/{target}")];
                changed.extend(lists.then(|| format!("{repository}/tags/list")));
                for route in changed {
                    let known = old
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .contains_key(&route);
                    if !known {
                        let before = upstream.forward(Seen {
                            method: "GET".to_owned(),
                            path: route.clone(),
                            headers: vec![(
                                "accept".to_owned(),
                                golden::oci::media::ACCEPT.to_owned(),
                            )],
                            body: Vec::new(),
                        });
                        let before = (Instant::now() + lag, before.await);
                        old.lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .insert(route, before);
                    }
                }
                return upstream.forward(seen).await;
            }
            let late = old
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get(seen.route())
                .cloned();
            match late {
                Some((until, answer)) if Instant::now() < until => answer,
                _ => upstream.forward(seen).await,
            }
        })
    }))
}

/// The registry behind a proxy.
#[derive(Clone)]
struct Upstream {
    /// `SCHEME://HOST:PORT`.
    address: String,
    client: reqwest::Client,
}

impl Upstream {
    fn plain(host: &str) -> Self {
        Self::at(format!("http://{host}"), Self::client())
    }

    fn with_tls(host: &str) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the test owns this file")]
        let ca = std::fs::read(services::tls_ca()).unwrap();
        let ca = reqwest::Certificate::from_pem(&ca).unwrap();
        // HTTP/2 has no Host header that could differ from the registry's own address.
        Self::at(
            format!("https://{host}"),
            Self::client().tls_certs_only([ca]).http1_only(),
        )
    }

    fn at(address: String, client: reqwest::ClientBuilder) -> Self {
        Self {
            address,
            client: client.build().unwrap(),
        }
    }

    fn client() -> reqwest::ClientBuilder {
        // If a provider was installed before, it is the same one.
        drop(rustls::crypto::ring::default_provider().install_default());
        reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
    }

    async fn forward(&self, seen: Seen) -> Answer {
        let method = reqwest::Method::from_bytes(seen.method.as_bytes()).unwrap();
        let mut request = self
            .client
            .request(method, format!("{}{}", self.address, seen.path));
        // The Host stays that of the proxy: the registry derives its Locations from it, which must
        // lead back here.
        for (key, value) in &seen.headers {
            if key != "content-length" && key != "connection" && key != "transfer-encoding" {
                request = request.header(key, value);
            }
        }
        let Ok(response) = request
            .header("content-length", seen.body.len())
            .body(seen.body)
            .send()
            .await
        else {
            return Answer::new(502, "the registry is unreachable");
        };
        let status = response.status().as_u16();
        let headers = response.headers().iter();
        let kept = headers.filter(|(key, _)| {
            !["connection", "transfer-encoding", "content-length"].contains(&key.as_str())
        });
        let mut headers: Vec<(String, String)> = kept
            .map(|(key, value)| (key.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        if let Some(length) = response.headers().get("content-length") {
            headers.push((
                "content-length".to_owned(),
                length.to_str().unwrap().to_owned(),
            ));
        }
        let body = response.bytes().await.unwrap_or_default().to_vec();
        Answer::Full {
            status,
            headers,
            body,
        }
    }
}

impl Shared {
    /// Counts a request; returns its fault and the watcher.
    fn next(&mut self, seen: &Seen) -> (Option<Fault>, Option<Watcher>) {
        let watcher = self.watcher.clone().filter(|_| changes(seen));
        if self.only_golden
            && !seen
                .header("user-agent")
                .is_some_and(|agent| agent.starts_with("golden/"))
        {
            return (None, watcher);
        }
        let index = self.log.len();
        self.log.push(format!("{} {}", seen.method, seen.route()));
        let hit = self
            .fault
            .filter(|(at, _, on)| index == *at || (*on && index > *at));
        (hit.map(|(_, fault, _)| fault), watcher)
    }
}

/// True if a request may change the target of a tag.
fn changes(seen: &Seen) -> bool {
    matches!(seen.method.as_str(), "PUT" | "DELETE") && seen.path.contains("/manifests/")
}

impl FaultProxy {
    fn start(tls: Option<rustls::ServerConfig>, upstream: Upstream) -> Self {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let state = shared.clone();
        let handler: Handler = Arc::new(move |seen: Seen| {
            let upstream = upstream.clone();
            let (fault, watcher) = lock(&state).next(&seen);
            Box::pin(async move { answer_with_fault(&upstream, seen, fault, watcher).await })
        });
        let server = Server::on(0, tls, handler);
        server.refuse_plain();
        Self { server, shared }
    }

    /// HOST:PORT, to be given to golden as the registry.
    pub(crate) fn host(&self) -> String {
        self.server.host()
    }

    /// Every request so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.server.seen()
    }

    /// Injects a fault into request `index` (from 0, counted from now), and into all later ones if
    /// `on`.
    pub(crate) fn break_at(&self, index: usize, fault: Fault, on: bool) {
        let mut shared = lock(&self.shared);
        shared.log.clear();
        shared.fault = Some((index, fault, on));
    }

    /// Injects no more faults, and counts from 0 again.
    pub(crate) fn heal(&self) {
        let mut shared = lock(&self.shared);
        shared.log.clear();
        shared.fault = None;
    }

    /// The requests since the last call of `break_at` or `heal`, as method and path.
    pub(crate) fn requests(&self) -> Vec<String> {
        lock(&self.shared).log.clone()
    }

    /// Calls `watcher` after each change in the registry.
    pub(crate) fn watch(&self, watcher: Watcher) {
        lock(&self.shared).watcher = Some(watcher);
    }

    /// Injects faults only into golden's own requests and counts only those, not the requests of an
    /// engine that pushes for it.
    pub(crate) fn spare_engines(&self) {
        lock(&self.shared).only_golden = true;
    }
}

async fn answer_with_fault(
    upstream: &Upstream,
    mut seen: Seen,
    fault: Option<Fault>,
    watcher: Option<Watcher>,
) -> Answer {
    match fault {
        Some(Fault::CutBefore) => return Answer::Close,
        Some(Fault::Unavailable) => return Answer::new(503, "not now"),
        Some(Fault::TooMany) => return Answer::new(429, "slower").header("retry-after", 0),
        Some(Fault::CorruptRequest) => {
            if let Some(byte) = seen.body.last_mut() {
                *byte ^= 1;
            }
        }
        Some(Fault::HalfBody) => {
            seen.body.truncate(seen.body.len() / 2);
            // A registry keeps the data that arrived before a connection broke. Sending only that
            // part and dropping the answer has the same effect.
            seen.headers.retain(|(key, _)| key != "content-range");
        }
        _ => {}
    }
    let answer = upstream.forward(seen).await;
    if let Some(watcher) = watcher {
        watcher().await;
    }
    match (fault, answer) {
        (Some(Fault::CutAfter | Fault::HalfBody), _) => Answer::Close,
        (Some(Fault::Garbled), _) => Answer::Garbled,
        (Some(Fault::Held), _) => Answer::Stall,
        (Some(Fault::Failed), _) => Answer::new(500, "oops"),
        (
            Some(Fault::CutAnswer),
            Answer::Full {
                status,
                headers,
                body,
            },
        ) => Answer::Half {
            status,
            headers,
            body,
        },
        (
            Some(Fault::CorruptAnswer),
            Answer::Full {
                status,
                headers,
                mut body,
            },
        ) => {
            let at = body.len().saturating_sub(1).min(10);
            if let Some(byte) = body.get_mut(at) {
                *byte ^= 1;
            }
            Answer::Full {
                status,
                headers,
                body,
            }
        }
        (Some(Fault::Late), answer) => {
            tokio::time::sleep(Duration::from_millis(60)).await;
            answer
        }
        (_, answer) => answer,
    }
}
