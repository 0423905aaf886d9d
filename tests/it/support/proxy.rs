//! A proxy that stands between golden and a registry, and spoils one request: the one of a given number.

use std::time::Duration;

use super::server::{Answer, Handler, Seen, Server};

/// What is spoilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection is closed; the registry never sees the request.
    CutBefore,
    /// The registry does what it is asked to, and its answer is lost.
    CutAfter,
    /// The answer breaks off in the middle of its body.
    CutAnswer,
    /// The registry gets half of the body, and no end of it.
    HalfBody,
    /// 503 in place of the registry.
    Unavailable,
    /// 429 with `Retry-After: 0` in place of the registry.
    TooMany,
    /// The answer comes late, but comes.
    Late,
    /// A byte of the request's body is another one.
    CorruptRequest,
    /// A byte of the answer's body is another one.
    CorruptAnswer,
}

impl Fault {
    /// All of them.
    pub(crate) const ALL: [Self; 9] = [
        Self::CutBefore,
        Self::CutAfter,
        Self::CutAnswer,
        Self::HalfBody,
        Self::Unavailable,
        Self::TooMany,
        Self::Late,
        Self::CorruptRequest,
        Self::CorruptAnswer,
    ];
}

/// Starts a proxy for the registry at `upstream` (HOST:PORT, plain HTTP). The request with the number that `fault`
/// names is spoilt; `Server::seen` tells how many there were. Its `host()` is what golden is given as the registry.
pub(crate) fn fault_proxy(upstream: &str, fault: Option<(usize, Fault)>) -> Server {
    drop(rustls::crypto::ring::default_provider().install_default());
    let client =
        reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let upstream = upstream.to_owned();
    let handler: Handler = std::sync::Arc::new(move |seen: Seen| {
        let (client, upstream) = (client.clone(), upstream.clone());
        let fault = fault.filter(|(index, _)| *index == seen.index).map(|(_, fault)| fault);
        Box::pin(async move { forward(&client, &upstream, seen, fault).await })
    });
    Server::start(handler)
}

async fn forward(client: &reqwest::Client, upstream: &str, mut seen: Seen, fault: Option<Fault>) -> Answer {
    match fault {
        Some(Fault::CutBefore) => return Answer::Close,
        Some(Fault::Unavailable) => return Answer::new(503, "not now"),
        Some(Fault::TooMany) => return Answer::new(429, "slower").header("retry-after", 0),
        Some(Fault::Late) => tokio::time::sleep(Duration::from_millis(400)).await,
        Some(Fault::CorruptRequest) => {
            if let Some(byte) = seen.body.last_mut() {
                *byte ^= 1;
            }
        }
        Some(Fault::HalfBody) => {
            seen.body.truncate(seen.body.len() / 2);
            // A registry keeps what arrived before a connection broke; sending that much and hiding the answer is the same.
            seen.headers.retain(|(key, _)| key != "content-range");
        }
        _ => {}
    }
    let method = reqwest::Method::from_bytes(seen.method.as_bytes()).unwrap();
    let mut request = client.request(method, format!("http://{upstream}{}", seen.path));
    for (key, value) in &seen.headers {
        if key != "content-length" && key != "connection" {
            request = request.header(key, value);
        }
    }
    let Ok(response) = request.header("content-length", seen.body.len()).body(seen.body).send().await else {
        return Answer::new(502, "the registry is not there");
    };
    let status = response.status().as_u16();
    let headers = response.headers().iter();
    let kept = headers
        .filter(|(key, _)| !["connection", "transfer-encoding", "content-length"].contains(&key.as_str()));
    let mut headers: Vec<(String, String)> =
        kept.map(|(key, value)| (key.to_string(), value.to_str().unwrap().to_owned())).collect();
    if let Some(length) = response.headers().get("content-length") {
        headers.push(("content-length".to_owned(), length.to_str().unwrap().to_owned()));
    }
    let mut body = response.bytes().await.unwrap_or_default().to_vec();
    match fault {
        Some(Fault::CutAfter | Fault::HalfBody) => Answer::Close,
        Some(Fault::CutAnswer) => Answer::Half { status, headers, body },
        Some(Fault::CorruptAnswer) => {
            if let Some(byte) = body.last_mut() {
                *byte ^= 1;
            }
            Answer::Full { status, headers, body }
        }
        _ => Answer::Full { status, headers, body },
    }
}
