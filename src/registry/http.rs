//! Sends one HTTP request: TLS, proxies, http or https, timeouts, logging. Retries and credentials
//! are handled above.

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::BoxFuture;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::header::HeaderMap;
use reqwest::{Client, ClientBuilder, Method, NoProxy, Proxy, Response, Url, redirect};
use rustls::pki_types::CertificateDer;
use tokio::sync::OnceCell;

use super::body::Payload;
use super::env::{RegistryEnv, RetryPolicy};
use super::error::{Error, FailureKind};
use super::reach::{self, Zone};
use super::{RegistryEndpoint, tls};
use crate::secret::{Secret, redact_url};
use crate::workspace::fs;

/// The HTTP connection settings of one registry.
pub(super) struct Http {
    endpoint: RegistryEndpoint,
    env: Arc<RegistryEnv>,
    /// The client for the host itself, which the user named.
    client: OnceCell<Client>,
    /// The client for hosts in redirects and challenges. It checks the addresses that names resolve
    /// to.
    foreign: OnceCell<Client>,
    proxies: Proxies,
    scheme: AtomicU8,
    /// The farthest zone that the host responded from, as a number.
    zone: Arc<AtomicU8>,
    sent: SentSecrets,
}

/// The secrets that were sent, in every form in which a server could echo them. Each response
/// carries a copy.
#[derive(Clone, Default)]
pub(super) struct SentSecrets(Arc<Mutex<BTreeSet<String>>>);

impl SentSecrets {
    /// The minimum length: a shorter secret may also be an ordinary word.
    const SHORTEST: usize = 4;

    fn record(&self, authorization: &str) {
        let mut forms = vec![authorization.to_owned()];
        if let Some((_, value)) = authorization.split_once(' ') {
            forms.push(value.to_owned());
            let decoded = STANDARD
                .decode(value)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok());
            if let Some((_, password)) = decoded.as_deref().and_then(|pair| pair.split_once(':')) {
                forms.push(password.to_owned());
                forms.push(url::form_urlencoded::byte_serialize(password.as_bytes()).collect());
            }
        }
        forms.retain(|form| form.len() >= Self::SHORTEST);
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(forms);
    }

    /// Replaces the sent secrets in the text of a server with `***`.
    pub(super) fn mask(&self, text: &[u8]) -> Vec<u8> {
        let mut masked = String::from_utf8_lossy(text).into_owned();
        let forms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut forms: Vec<&String> = forms.iter().collect();
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        for form in forms {
            masked = masked.replace(form.as_str(), "***");
        }
        masked.into_bytes()
    }
}

/// The maximum size of a certificate file, in bytes.
const MAX_CERTIFICATES: u64 = 8 << 20;

const UNDECIDED: u8 = 0;
const PLAIN: u8 = 1;
const TLS: u8 = 2;

impl Http {
    pub(super) fn new(endpoint: RegistryEndpoint, env: Arc<RegistryEnv>) -> Self {
        let scheme = match (endpoint.http, endpoint.host.is_loopback()) {
            (true, _) => PLAIN,
            (false, true) => UNDECIDED,
            (false, false) => TLS,
        };
        let proxies = Proxies::new(&env);
        Self {
            endpoint,
            env,
            client: OnceCell::new(),
            foreign: OnceCell::new(),
            proxies,
            scheme: AtomicU8::new(scheme),
            zone: Arc::default(),
            sent: SentSecrets::default(),
        }
    }

    /// The base URL of the host.
    pub(super) fn own(&self) -> Result<Url, Error> {
        self.url("/")
    }

    fn is_own(&self, url: &Url) -> Result<bool, Error> {
        Ok(reach::is_same_host(url, &self.own()?))
    }

    /// True if a login may be sent to `url`: over TLS, to this machine, or if the user allows clear
    /// text.
    pub(super) fn may_carry_login(&self, url: &Url) -> bool {
        let is_here = Zone::of_url(url) == Some(Zone::Loopback) && !is_unspecified(url);
        url.scheme() == "https" || self.endpoint.clear_login || is_here
    }

    /// Fails if the registry may not redirect to `url`. Host names are checked again when they are
    /// resolved.
    pub(super) fn check_target(&self, method: &Method, url: &Url) -> Result<(), Error> {
        let own = self.own()?;
        let refuse = |reason: String| {
            let message = format!("the registry sends golden to {}: {reason}", redact_url(url));
            Err(Error::new(
                FailureKind::Malformed,
                method.as_str(),
                &redact_url(&own),
                message,
            ))
        };
        match url.scheme() {
            "https" => {}
            "http" if own.scheme() == "http" => {}
            _ => return refuse("https must not become plain http".to_owned()),
        }
        if reach::is_same_host(url, &own) {
            return Ok(());
        }
        if !matches!(*method, Method::GET | Method::HEAD) {
            return refuse(format!("{method} is not sent to another host"));
        }
        self.check_zone(url).or_else(refuse)
    }

    /// Fails if a login must not be sent to the realm: it must use https if the registry does, and
    /// must not be in a nearer zone than the registry.
    pub(super) fn check_realm(&self, realm: &Url) -> Result<(), Error> {
        let own = self.own()?;
        let refuse = |reason: String| {
            let message = format!(
                "the registry requests logins at {}: {reason}",
                redact_url(realm)
            );
            Err(Error::new(
                FailureKind::Malformed,
                "GET",
                &redact_url(&self.url("/v2/")?),
                message,
            ))
        };
        match realm.scheme() {
            "https" => {}
            "http" if own.scheme() == "http" => {}
            _ => return refuse("the URL is not https".to_owned()),
        }
        if reach::is_same_host(realm, &own) {
            return Ok(());
        }
        self.check_zone(realm).or_else(refuse)
    }

    fn check_zone(&self, url: &Url) -> Result<(), String> {
        match Zone::of_url(url) {
            Some(zone) if !zone_of(&self.zone).may_lead_to(zone) => {
                Err(format!("{zone}, and the registry is elsewhere"))
            }
            _ => Ok(()),
        }
    }

    /// The URL of a path of the API, such as `/v2/`.
    pub(super) fn url(&self, path: &str) -> Result<Url, Error> {
        // HTTP is tried first for a loopback host: a TLS server rejects it at once, but some plain
        // HTTP servers wait forever for the rest of a TLS handshake.
        let scheme = if self.scheme.load(Ordering::Relaxed) == TLS {
            "https"
        } else {
            "http"
        };
        let text = format!("{scheme}://{}{path}", self.endpoint.host.api_authority());
        Url::parse(&text).map_err(|error| Error::local(format!("`{text}` is not a URL: {error}")))
    }

    /// Upgrades an http URL that was built before a loopback host was found to use TLS.
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

    /// Sends one request and waits for the response headers. `secret` is the Authorization header.
    pub(super) async fn send(
        &self,
        method: &Method,
        url: &Url,
        headers: &HeaderMap,
        secret: Option<&str>,
        payload: &Payload<'_>,
    ) -> Result<Response, Error> {
        if !self.is_own(url)? || self.scheme.load(Ordering::Relaxed) != UNDECIDED {
            return self.exchange(method, url, headers, secret, payload).await;
        }
        let answer = self.exchange(method, url, headers, secret, payload).await;
        let may_be_tls = match &answer {
            Ok(response) => response.status() == 400,
            Err(error) => error.kind == FailureKind::Broken,
        };
        if !may_be_tls {
            if answer.is_ok() {
                self.scheme.store(PLAIN, Ordering::Relaxed);
            }
            return answer;
        }
        let mut secure = url.clone();
        if secure.set_scheme("https").is_err() {
            return answer;
        }
        match self
            .exchange(method, &secure, headers, secret, payload)
            .await
        {
            Ok(response) => {
                self.scheme.store(TLS, Ordering::Relaxed);
                Ok(response)
            }
            // The handshake succeeded before the connection broke, so the server uses TLS.
            Err(error) if error.kind == FailureKind::Broken => {
                self.scheme.store(TLS, Ordering::Relaxed);
                Err(error)
            }
            Err(error) if error.kind == FailureKind::Tls => Err(error),
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
        let own = self.is_own(url)?;
        let client = if own {
            self.client.get_or_try_init(|| self.connect(None)).await?
        } else {
            let guard = AddressGuard {
                zone: Arc::clone(&self.zone),
                proxies: self.proxies.hosts(),
                look_up,
            };
            self.foreign
                .get_or_try_init(|| self.connect(Some(guard)))
                .await?
        };
        let shown = redact_url(url);
        let mut request = client
            .request(method.clone(), url.clone())
            .headers(headers.clone());
        if let Some(secret) = secret {
            self.sent.record(secret);
            request = request.header(reqwest::header::AUTHORIZATION, secret);
        }
        let stall = self.env.retry_policy.stall;
        let (request, progress) = payload.attach(request, stall).await.map_err(|error| {
            Error::new(
                FailureKind::Local,
                method.as_str(),
                &shown,
                format!("the content cannot be read: {error}"),
            )
        })?;
        let started = Instant::now();
        let answer = progress.watch(request.send()).await;
        let ms = started.elapsed().as_millis();
        match answer {
            Some(Ok(mut response)) => {
                if own {
                    self.record_zone(url, &response);
                }
                response.extensions_mut().insert(self.sent.clone());
                tracing::debug!(%method, url = shown, status = response.status().as_u16(), ms, "request");
                Ok(response)
            }
            Some(Err(error)) => {
                let error = progress
                    .failed(method, &shown)
                    .unwrap_or_else(|| explain(method, &shown, &error));
                tracing::debug!(%method, url = shown, error = error.message, ms, "request");
                Err(error)
            }
            None => {
                tracing::debug!(%method, url = shown, error = "stalled", ms, "request");
                let text = format!(
                    "no data transferred for {} s",
                    progress.limit().as_secs_f32()
                );
                Err(Error::new(
                    FailureKind::Timeout,
                    method.as_str(),
                    &shown,
                    text,
                ))
            }
        }
    }

    /// The number of attempts and the time limits.
    pub(super) fn retry_policy(&self) -> RetryPolicy {
        self.env.retry_policy
    }

    /// The maximum time without any data.
    pub(super) fn stall(&self) -> Duration {
        self.env.retry_policy.stall
    }

    /// Records the zone that the host responded from. The address behind a proxy is unknown and
    /// counts as public.
    fn record_zone(&self, url: &Url, response: &Response) {
        let zone = match response.remote_addr() {
            Some(address) if !self.proxies.is_for(url) => Zone::of(address.ip()),
            _ => Zone::of_url(url).unwrap_or(Zone::Public),
        };
        self.zone.fetch_max(zone as u8, Ordering::Relaxed);
    }

    async fn connect(&self, guard: Option<AddressGuard>) -> Result<Client, Error> {
        let mut roots = Vec::new();
        for file in self.certificate_files().await {
            // `ca` comes from the workspace, so links are not followed. The other files belong to
            // the user and may be links.
            let opened = if self.endpoint.ca.is_some() {
                fs::open_real(&file)
            } else {
                fs::open(&file)
            };
            let text = opened
                .and_then(|file| fs::read_all(file, MAX_CERTIFICATES))
                .map_err(|error| unreadable(&file, &error))?;
            roots.extend(tls::certificates(&text).map_err(|error| unreadable(&file, &error))?);
        }
        let mut builder = builder(&self.env, &self.proxies, &roots)?;
        if let Some(guard) = guard {
            builder = builder.dns_resolver(guard);
        }
        client(builder)
    }

    /// The files with additional root certificates: the configured one, else those of Docker for
    /// this host.
    async fn certificate_files(&self) -> Vec<PathBuf> {
        if let Some(file) = &self.endpoint.ca {
            return vec![file.clone()];
        }
        let mut files = Vec::new();
        let directory = self.env.certificates.join(self.endpoint.host.as_str());
        if let Ok(mut entries) = tokio::fs::read_dir(directory).await {
            while let Ok(Some(entry)) = entries.next_entry().await {
                if entry
                    .path()
                    .extension()
                    .is_some_and(|extension| extension == "crt")
                {
                    files.push(entry.path());
                }
            }
        }
        files.sort();
        files
    }
}

/// A client for servers that are not registries, with the proxies of the environment. It trusts the
/// certificates of the system, and follows no redirects. Fails if TLS or a proxy cannot be set up.
pub fn web_client(env: &RegistryEnv) -> Result<Client, Error> {
    client(builder(env, &Proxies::new(env), &[])?)
}

fn builder(
    env: &RegistryEnv,
    proxies: &Proxies,
    roots: &[CertificateDer<'static>],
) -> Result<ClientBuilder, Error> {
    let config =
        tls::client(roots).map_err(|error| Error::local(format!("cannot set up TLS: {error}")))?;
    let mut builder = Client::builder()
        .user_agent(concat!("golden/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .referer(false)
        .connect_timeout(env.retry_policy.connect)
        .pool_idle_timeout(Duration::from_secs(20))
        .tls_backend_preconfigured(config)
        .no_proxy();
    for proxy in proxies.build()? {
        builder = builder.proxy(proxy);
    }
    Ok(builder)
}

fn client(builder: ClientBuilder) -> Result<Client, Error> {
    builder.build().map_err(|error| {
        Error::local(format!(
            "cannot create the HTTP client: {}",
            deepest(&error)
        ))
    })
}

/// The zone that the host responded from; `Public` before the first response.
fn zone_of(zone: &AtomicU8) -> Zone {
    let known = [Zone::Loopback, Zone::LinkLocal, Zone::Private];
    let number = zone.load(Ordering::Relaxed);
    known
        .into_iter()
        .find(|zone| *zone as u8 == number)
        .unwrap_or(Zone::Public)
}

/// On Linux 0.0.0.0 and [::] reach this machine; other systems do not define it.
fn is_unspecified(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_unspecified(),
        Some(url::Host::Ipv6(address)) => address.is_unspecified(),
        _ => false,
    }
}

/// A resolver that returns only addresses that the registry may send golden to. The connection uses
/// one of them.
struct AddressGuard {
    zone: Arc<AtomicU8>,
    /// The host names of the configured proxies, which are not checked.
    proxies: Vec<String>,
    look_up: fn(String) -> LookUp,
}

/// A pending lookup of the addresses of a name.
type LookUp = BoxFuture<'static, std::io::Result<Vec<SocketAddr>>>;

/// Uses the resolver of the system.
fn look_up(name: String) -> LookUp {
    Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) })
}

impl reqwest::dns::Resolve for AddressGuard {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let name = name.as_str().to_owned();
        let from = if self.proxies.contains(&name) {
            None
        } else {
            Some(zone_of(&self.zone))
        };
        let look_up = self.look_up;
        Box::pin(async move {
            let found = look_up(name.clone()).await?;
            let allowed = |address: &&SocketAddr| {
                from.is_none_or(|from| from.may_lead_to(Zone::of(address.ip())))
            };
            let given: Vec<SocketAddr> = found.iter().filter(allowed).copied().collect();
            if let (true, Some(first)) = (given.is_empty(), found.first()) {
                let address = first.ip();
                return Err(reach::RefusedAddress {
                    name,
                    address,
                    zone: Zone::of(address),
                }
                .into());
            }
            Ok(Box::new(given.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

/// The proxies of the environment.
struct Proxies {
    http: Option<Secret<String>>,
    https: Option<Secret<String>>,
    exceptions: String,
    matcher: Matcher,
}

impl Proxies {
    fn new(env: &RegistryEnv) -> Self {
        let (http, https) = (env.http_proxy.clone(), env.https_proxy.clone());
        let own = "localhost,127.0.0.0/8,::1";
        let exceptions = env
            .no_proxy
            .as_ref()
            .map_or_else(|| own.to_owned(), |list| format!("{own},{list}"));
        let text = |proxy: &Option<Secret<String>>| {
            proxy
                .as_ref()
                .map(|p| p.expose().clone())
                .unwrap_or_default()
        };
        let matcher = Matcher::builder()
            .http(text(&http))
            .https(text(&https))
            .no(exceptions.clone())
            .build();
        Self {
            http,
            https,
            exceptions,
            matcher,
        }
    }

    /// True if requests to `url` use a proxy.
    fn is_for(&self, url: &Url) -> bool {
        url.as_str()
            .parse::<hyper::Uri>()
            .is_ok_and(|uri| self.matcher.intercept(&uri).is_some())
    }

    /// The host names of the proxies.
    fn hosts(&self) -> Vec<String> {
        let host = |proxy: &Secret<String>| {
            let text = proxy.expose();
            let url = Url::parse(text).ok().filter(Url::has_host);
            url.or_else(|| Url::parse(&format!("http://{text}")).ok())?
                .host_str()
                .map(str::to_owned)
        };
        [&self.http, &self.https]
            .into_iter()
            .flatten()
            .filter_map(host)
            .collect()
    }

    fn build(&self) -> Result<Vec<Proxy>, Error> {
        let mut proxies = Vec::new();
        for (name, address) in [("HTTP_PROXY", &self.http), ("HTTPS_PROXY", &self.https)] {
            let Some(address) = address else { continue };
            let proxy = match name {
                "HTTP_PROXY" => Proxy::http(address.expose()),
                _ => Proxy::https(address.expose()),
            };
            let proxy = proxy.map_err(|_| Error::local(format!("{name} is not a URL")))?;
            proxies.push(proxy.no_proxy(NoProxy::from_string(&self.exceptions)));
        }
        Ok(proxies)
    }
}

fn unreadable(file: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::local(format!("certificate file {}: {error}", file.display()))
}

/// The innermost error of a chain, which has the cause. `source` of an `io::Error` skips the error
/// that it wraps.
fn deepest(error: &(dyn StdError + 'static)) -> String {
    let mut last = error;
    loop {
        let inner = last
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        let inner = inner.map(|inner| -> &(dyn StdError + 'static) { inner });
        match inner.or_else(|| last.source()) {
            Some(next) => last = next,
            None => return last.to_string(),
        }
    }
}

/// Converts an error of the HTTP client. Its own text would contain the whole URL, including
/// secrets.
pub(super) fn explain(method: &Method, shown: &str, error: &reqwest::Error) -> Error {
    use rustls::{AlertDescription as Alert, Error as Tls};
    if let Some(refused) = tls::find::<reach::RefusedAddress>(error) {
        return Error::new(
            FailureKind::Malformed,
            method.as_str(),
            shown,
            refused.to_string(),
        );
    }
    let (kind, message) = match tls::find_tls_error(error) {
        Some(Tls::InvalidMessage(_)) if error.is_connect() => (
            FailureKind::PlainHttp,
            "the server does not speak TLS".to_owned(),
        ),
        // A corrupted TLS record after the handshake, detected here or reported by the server.
        Some(
            other @ (Tls::DecryptError
            | Tls::InvalidMessage(_)
            | Tls::PeerSentOversizedRecord
            | Tls::AlertReceived(Alert::BadRecordMac | Alert::RecordOverflow)),
        ) if !error.is_connect() => (
            FailureKind::Broken,
            format!("the connection broke: {}", tls::describe(other)),
        ),
        Some(other) => (FailureKind::Tls, tls::describe(other)),
        None if error.is_timeout() && error.is_connect() => {
            (FailureKind::Connect, "the connection timed out".to_owned())
        }
        None if error.is_timeout() => (FailureKind::Timeout, "the response timed out".to_owned()),
        None if error.is_connect() => (
            FailureKind::Connect,
            format!("cannot connect: {}", deepest(error)),
        ),
        None => (
            FailureKind::Broken,
            format!("the connection broke: {}", deepest(error)),
        ),
    };
    Error::new(kind, method.as_str(), shown, message)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A test resolver: every name has two addresses of this machine, and `mixed…` also has a
    /// public one.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "it must have the signature of `look_up`"
    )]
    fn resolver(name: String) -> LookUp {
        let here = ["127.0.0.1:0", "[::1]:0"];
        let public: &[&str] = if name.starts_with("mixed") {
            &["192.88.98.1:0"]
        } else {
            &[]
        };
        let found = here
            .iter()
            .chain(public)
            .map(|text| text.parse().unwrap())
            .collect();
        Box::pin(async move { Ok(found) })
    }

    fn guard(zone: Zone, proxy: &str) -> AddressGuard {
        let zone = Arc::new(AtomicU8::new(zone as u8));
        AddressGuard {
            zone,
            proxies: vec![proxy.to_owned()],
            look_up: resolver,
        }
    }

    async fn found(guard: &AddressGuard, name: &str) -> Result<Vec<String>, String> {
        let found = reqwest::dns::Resolve::resolve(guard, name.parse().unwrap()).await;
        found
            .map(|list| list.map(|address| address.ip().to_string()).collect())
            .map_err(|e| e.to_string())
    }

    #[tokio::test]
    async fn only_allowed_addresses_are_returned() {
        let both = Ok(vec!["127.0.0.1".to_owned(), "::1".to_owned()]);
        let refused =
            "app.internal has an address of this machine (127.0.0.1), and the registry is elsewhere"
                .to_owned();
        assert_eq!(
            found(&guard(Zone::Loopback, ""), "app.internal").await,
            both
        );
        assert_eq!(
            found(&guard(Zone::Public, "app.internal"), "app.internal").await,
            both
        );
        assert_eq!(
            found(&guard(Zone::Private, ""), "app.internal").await,
            Err(refused.clone())
        );
        assert_eq!(
            found(&guard(Zone::Public, ""), "app.internal").await,
            Err(refused)
        );
        let public = Ok(vec!["192.88.98.1".to_owned()]);
        assert_eq!(
            found(&guard(Zone::Public, ""), "mixed.internal").await,
            public
        );
    }

    #[tokio::test]
    async fn the_resolved_address_is_checked_and_not_the_name() {
        let here = TcpListener::bind("127.0.0.1:0").unwrap();
        here.set_nonblocking(true).unwrap();
        let url = format!("http://app.internal:{}/", here.local_addr().unwrap().port());
        let client = Client::builder()
            .no_proxy()
            .tls_backend_preconfigured(tls::client(&[]).unwrap())
            .dns_resolver(guard(Zone::Public, ""))
            .build()
            .unwrap();
        let error = explain(
            &Method::GET,
            &url,
            &client.get(&url).send().await.unwrap_err(),
        );
        assert!(
            error
                .message
                .contains("app.internal has an address of this machine"),
            "{}",
            error.message
        );
        assert_eq!(error.kind, FailureKind::Malformed);
        assert_eq!(
            here.accept().unwrap_err().kind(),
            std::io::ErrorKind::WouldBlock
        );
    }

    #[test]
    fn an_unspecified_address_is_recognised_in_both_families() {
        for (url, expected) in [
            ("http://0.0.0.0:5000/", true),
            ("http://[::]:5000/", true),
            ("http://127.0.0.1/", false),
            ("http://[::1]/", false),
            ("http://registry.example.com/", false),
        ] {
            assert_eq!(is_unspecified(&url.parse().unwrap()), expected, "{url}");
        }
    }
}
