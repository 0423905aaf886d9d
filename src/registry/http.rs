//! One request and its answer: TLS, proxies, http or https, time limits, the log. No retries, no credentials.

use std::error::Error as StdError;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use reqwest::{Certificate, Client, Method, NoProxy, Proxy, Response, Url, redirect};
use tokio::sync::OnceCell;

use super::Endpoint;
use super::body::Payload;
use super::env::{Patience, RegistryEnv};
use super::error::{Error, Kind};
use crate::secret::redact_url;

/// The connection to one host.
pub(super) struct Http {
    endpoint: Endpoint,
    env: Arc<RegistryEnv>,
    client: OnceCell<Client>,
    scheme: AtomicU8,
}

const UNDECIDED: u8 = 0;
const PLAIN: u8 = 1;
const TLS: u8 = 2;

impl Http {
    pub(super) fn new(endpoint: Endpoint, env: Arc<RegistryEnv>) -> Self {
        let scheme = match (endpoint.http, endpoint.host.is_loopback()) {
            (true, _) => PLAIN,
            (false, true) => UNDECIDED,
            (false, false) => TLS,
        };
        Self { endpoint, env, client: OnceCell::new(), scheme: AtomicU8::new(scheme) }
    }

    /// The address of a path of the API, such as `/v2/`.
    pub(super) fn url(&self, path: &str) -> Result<Url, Error> {
        // A loopback host is asked over HTTP first: a TLS server answers that at once, while some plain
        // servers would wait for the rest of a TLS greeting forever.
        let scheme = if self.scheme.load(Ordering::Relaxed) == TLS { "https" } else { "http" };
        let text = format!("{scheme}://{}{path}", self.endpoint.host.api_authority());
        Url::parse(&text).map_err(|error| Error::local(format!("`{text}` is not an address: {error}")))
    }

    /// The address as it is to be asked now: one that was made before a loopback host was known to speak TLS says http.
    pub(super) fn settled(&self, url: &Url) -> Result<Url, Error> {
        let own = self.url("/")?;
        let mut secure = url.clone();
        let changed = self.endpoint.host.is_loopback()
            && own.scheme() == "https"
            && secure.set_scheme("https").is_ok()
            && secure.host_str() == own.host_str()
            && secure.port() == own.port();
        Ok(if changed { secure } else { url.clone() })
    }

    /// Sends one request and waits for the head of its answer. `secret` is the Authorization header.
    pub(super) async fn send(
        &self,
        method: &Method,
        url: &Url,
        headers: &HeaderMap,
        secret: Option<&str>,
        payload: &Payload<'_>,
    ) -> Result<Response, Error> {
        let ours = url.host_str() == self.url("/")?.host_str() && url.port() == self.url("/")?.port();
        if !ours || self.scheme.load(Ordering::Relaxed) != UNDECIDED {
            return self.exchange(method, url, headers, secret, payload).await;
        }
        let answer = self.exchange(method, url, headers, secret, payload).await;
        let other = match &answer {
            Ok(response) => response.status() == 400,
            Err(error) => error.kind == Kind::Broken,
        };
        if !other {
            if answer.is_ok() {
                self.scheme.store(PLAIN, Ordering::Relaxed);
            }
            return answer;
        }
        let mut secure = url.clone();
        if secure.set_scheme("https").is_err() {
            return answer;
        }
        match self.exchange(method, &secure, headers, secret, payload).await {
            Ok(response) => {
                self.scheme.store(TLS, Ordering::Relaxed);
                Ok(response)
            }
            // What broke after the connection was made was TLS until then.
            Err(error) if error.kind == Kind::Broken => {
                self.scheme.store(TLS, Ordering::Relaxed);
                Err(error)
            }
            Err(error) if error.kind == Kind::Tls => Err(error),
            Err(_) => answer,
        }
    }

    async fn exchange(
        &self,
        method: &Method,
        url: &Url,
        headers: &HeaderMap,
        secret: Option<&str>,
        payload: &Payload<'_>,
    ) -> Result<Response, Error> {
        let client = self.client.get_or_try_init(|| self.connect()).await?;
        let shown = redact_url(url);
        let mut request = client.request(method.clone(), url.clone()).headers(headers.clone());
        if let Some(secret) = secret {
            request = request.header(reqwest::header::AUTHORIZATION, secret);
        }
        let stall = self.env.patience.stall;
        let (request, progress) = payload.attach(request, stall).await.map_err(|error| {
            Error::new(Kind::Local, method.as_str(), &shown, format!("the content cannot be read: {error}"))
        })?;
        let started = Instant::now();
        let answer = progress.watch(request.send()).await;
        let ms = started.elapsed().as_millis();
        match answer {
            Some(Ok(response)) => {
                tracing::debug!(%method, url = shown, status = response.status().as_u16(), ms, "request");
                Ok(response)
            }
            Some(Err(error)) => {
                let error =
                    progress.failed(method, &shown).unwrap_or_else(|| explain(method, &shown, &error));
                tracing::debug!(%method, url = shown, error = error.message, ms, "request");
                Err(error)
            }
            None => {
                tracing::debug!(%method, url = shown, error = "stalled", ms, "request");
                let text = format!("nothing moved for {} s", progress.limit().as_secs_f32());
                Err(Error::new(Kind::Timeout, method.as_str(), &shown, text))
            }
        }
    }

    /// How long and how often something is tried.
    pub(super) fn patience(&self) -> Patience {
        self.env.patience
    }

    /// How long nothing may move.
    pub(super) fn stall(&self) -> Duration {
        self.env.patience.stall
    }

    async fn connect(&self) -> Result<Client, Error> {
        // Another part of the program may have installed it already, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut roots = Vec::new();
        for file in self.certificate_files().await {
            let text = tokio::fs::read(&file).await.map_err(|error| unreadable(&file, &error))?;
            let read = Certificate::from_pem_bundle(&text).map_err(|error| unreadable(&file, &error))?;
            if read.is_empty() {
                return Err(unreadable(&file, &"no certificate in it"));
            }
            roots.extend(read);
        }
        let build = |roots: Vec<Certificate>, only: bool| {
            let mut builder = Client::builder()
                .user_agent(concat!("golden/", env!("CARGO_PKG_VERSION")))
                .redirect(redirect::Policy::none())
                .referer(false)
                .connect_timeout(self.env.patience.connect)
                .pool_idle_timeout(Duration::from_secs(20))
                .no_proxy();
            for proxy in self.proxies()? {
                builder = builder.proxy(proxy);
            }
            builder = if only { builder.tls_certs_only(roots) } else { builder.tls_certs_merge(roots) };
            builder.build().map_err(|error| Error::local(format!("no TLS: {}", deepest(&error))))
        };
        // A machine without any trust store (a scratch container) can still speak plain HTTP, and TLS with `ca`.
        build(roots.clone(), false).or_else(|_| build(roots, true))
    }

    /// The extra roots: the endpoint's own, else those that Docker would take for the host.
    async fn certificate_files(&self) -> Vec<PathBuf> {
        if let Some(file) = &self.endpoint.ca {
            return vec![file.clone()];
        }
        let mut files = Vec::new();
        let folder = self.env.certificates.join(self.endpoint.host.as_str());
        if let Ok(mut entries) = tokio::fs::read_dir(folder).await {
            while let Ok(Some(entry)) = entries.next_entry().await {
                if entry.path().extension().is_some_and(|extension| extension == "crt") {
                    files.push(entry.path());
                }
            }
        }
        files.sort();
        files
    }

    fn proxies(&self) -> Result<Vec<Proxy>, Error> {
        let mut exceptions = "localhost,127.0.0.0/8,::1".to_owned();
        if let Some(list) = &self.env.no_proxy {
            exceptions = format!("{exceptions},{list}");
        }
        let mut proxies = Vec::new();
        for (name, address) in [("HTTP_PROXY", &self.env.http_proxy), ("HTTPS_PROXY", &self.env.https_proxy)]
        {
            let Some(address) = address else { continue };
            let made = match name {
                "HTTP_PROXY" => Proxy::http(address.expose()),
                _ => Proxy::https(address.expose()),
            };
            let proxy = made.map_err(|_| Error::local(format!("{name} is not an address")))?;
            proxies.push(proxy.no_proxy(NoProxy::from_string(&exceptions)));
        }
        Ok(proxies)
    }
}

fn unreadable(file: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::local(format!("certificate authority {}: {error}", file.display()))
}

/// The last error of a chain, which is the one that says what happened. An `io::Error` hides what it wraps.
fn deepest(error: &(dyn StdError + 'static)) -> String {
    let mut last = error;
    loop {
        let inner = last.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let inner = inner.map(|inner| -> &(dyn StdError + 'static) { inner });
        match inner.or_else(|| last.source()) {
            Some(next) => last = next,
            None => return last.to_string(),
        }
    }
}

/// The TLS problem in a chain of errors.
fn tls_problem<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e rustls::Error> {
    let mut last = error;
    loop {
        if let Some(found) = last.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        let inner = last.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let inner = inner.map(|inner| -> &(dyn StdError + 'static) { inner });
        last = inner.or_else(|| last.source())?;
    }
}

/// Turns the client's error into ours: its text would hold the whole address, with what is secret in it.
pub(super) fn explain(method: &Method, shown: &str, error: &reqwest::Error) -> Error {
    use rustls::{AlertDescription as Alert, CertificateError as Bad, Error as Tls};
    let (kind, message) = match tls_problem(error) {
        Some(Tls::InvalidMessage(_)) if error.is_connect() => {
            (Kind::PlainHttp, "the server does not speak TLS".to_owned())
        }
        Some(Tls::InvalidCertificate(bad)) => {
            let why = match bad {
                Bad::UnknownIssuer => "it is signed by an authority that is not trusted".to_owned(),
                Bad::Expired | Bad::ExpiredContext { .. } => "it has expired".to_owned(),
                Bad::NotValidYet | Bad::NotValidYetContext { .. } => "it is not valid yet".to_owned(),
                Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
                    "it is for another name".to_owned()
                }
                other => format!("{other:?}"),
            };
            (Kind::Tls, format!("the server's certificate is not accepted: {why}"))
        }
        // Bytes that became others on their way, after all was agreed on: seen here, or by the server.
        Some(
            other @ (Tls::DecryptError
            | Tls::InvalidMessage(_)
            | Tls::PeerSentOversizedRecord
            | Tls::AlertReceived(Alert::BadRecordMac | Alert::RecordOverflow)),
        ) if !error.is_connect() => (Kind::Broken, format!("the connection broke: {other}")),
        Some(other) => (Kind::Tls, format!("TLS failed: {other}")),
        None if error.is_timeout() && error.is_connect() => {
            (Kind::Connect, "no connection in time".to_owned())
        }
        None if error.is_timeout() => (Kind::Timeout, "no answer in time".to_owned()),
        None if error.is_connect() => (Kind::Connect, format!("cannot connect: {}", deepest(error))),
        None => (Kind::Broken, format!("the connection broke: {}", deepest(error))),
    };
    Error::new(kind, method.as_str(), shown, message)
}
