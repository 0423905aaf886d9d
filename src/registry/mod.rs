//! The registry client (OCI distribution spec 1.1, Docker registry v2). Every command uses this one
//! client.
//!
//! A [`Registry`] is a handle on one host: cheap to clone; clones share connections, credentials
//! and tokens. A [`Repo`] is a handle on one of its repositories. A call goes through `exchange`
//! (retries, credentials, redirects) and `http` (one request). `manifest`, `blob`, `upload`, `list`
//! and `referrers` implement the endpoints of the API.

mod auth;
mod bearer;
mod blob;
mod body;
mod credentials;
pub mod env;
pub mod error;
mod error_body;
mod exchange;
mod http;
mod list;
mod manifest;
mod optional;
mod polling;
mod probe;
mod reach;
pub mod referrers;
mod repo;
mod retry;
mod scope;
pub(crate) mod tls;
mod token;
mod upload;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::Url;

use crate::reference::{Digest, Host, RepositoryPath, Tag};

pub use self::blob::RemoteBlob;
pub use self::credentials::Credential;
use self::credentials::{Lookup, NoLogin};
pub use self::env::{RegistryEnv, RetryPolicy};
pub use self::error::{Error, FailureKind};
pub use self::http::web_client;
pub use self::manifest::Untag;
use self::optional::OptionalFeature;
pub use self::polling::{Polling, Rewrites, Watch};
pub use self::probe::{LoginFacts, Support};
pub use self::repo::Repo;
pub use self::scope::LoginScope;

/// The connection settings of a registry: from a `[[registry]]` table, or the defaults for a bare
/// host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryEndpoint {
    /// The host name, with the port if it is not the default.
    pub host: Host,
    /// A file with an additional root certificate for TLS, in PEM.
    pub ca: Option<PathBuf>,
    /// Use plain HTTP although the host is not this machine.
    pub http: bool,
    /// Send a login over plain HTTP although the host is not this machine.
    pub clear_login: bool,
}

impl RegistryEndpoint {
    /// The default settings for a host.
    #[must_use]
    pub const fn of(host: Host) -> Self {
        Self {
            host,
            ca: None,
            http: false,
            clear_login: false,
        }
    }
}

/// A handle on one registry.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

struct Inner {
    host: Host,
    http: http::Http,
    auth: auth::Auth,
    env: Arc<RegistryEnv>,
    /// Limits the number of concurrent requests.
    limiter: tokio::sync::Semaphore,
    /// Records whether the registry accepts several tags in one PUT request.
    fan_out: OptionalFeature,
    /// Records whether the registry stores a blob that is sent with the request that opens the
    /// upload.
    one_request: OptionalFeature,
    /// True if the last request for a list of referrers showed that the registry has none. A registry
    /// may differ by repository, so this only decides which list is read first.
    lacks_referrer_lists: AtomicBool,
    /// The repositories without tags, with the tags that the registry did not serve.
    absent: Mutex<BTreeMap<RepositoryPath, BTreeSet<Tag>>>,
    /// The blobs that this run uploaded, each with its repository.
    uploaded_to: Mutex<BTreeMap<Digest, BlobLocation>>,
}

/// The repository that a blob was uploaded to; locked during the upload.
type BlobLocation = Arc<tokio::sync::Mutex<Option<RepositoryPath>>>;

/// The number of concurrent requests to one registry. Requests mostly wait for the network or for
/// the registry's disk.
const CONCURRENCY: usize = 32;

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Registry").field(&self.inner.host).finish()
    }
}

/// The knowledge about a blob before it is transferred to a repository.
#[derive(Debug, Clone, Copy, Default)]
pub struct BlobHint<'a> {
    /// A repository of the same registry that has the blob.
    pub mount_from: Option<&'a RepositoryPath>,
    /// True if the repository probably lacks the blob.
    pub is_probably_absent: bool,
}

/// The bytes of an upload. They can be read again from any offset, so that an upload can resume.
#[async_trait::async_trait]
pub trait BlobSource: Send + Sync {
    /// Opens a reader from `offset` to the end. Fails if the source cannot be read.
    async fn open(
        &self,
        offset: u64,
    ) -> std::io::Result<Box<dyn tokio::io::AsyncRead + Send + Unpin>>;
}

#[async_trait::async_trait]
impl BlobSource for crate::oci::Bytes {
    async fn open(
        &self,
        offset: u64,
    ) -> std::io::Result<Box<dyn tokio::io::AsyncRead + Send + Unpin>> {
        let mut cursor = std::io::Cursor::new(self.clone());
        cursor.set_position(offset);
        Ok(Box::new(cursor))
    }
}

impl Registry {
    /// The host of this registry.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.inner.host
    }

    fn url(&self, path: &str) -> Result<Url, Error> {
        self.inner.http.url(path)
    }
}

/// All registries of a run: one [`Registry`] per host, created on first use.
#[derive(Clone)]
pub struct Registries {
    shared: Arc<RegistriesInner>,
}

struct RegistriesInner {
    endpoints: Vec<RegistryEndpoint>,
    env: Arc<RegistryEnv>,
    credentials: Arc<credentials::Credentials>,
    handles: Mutex<BTreeMap<Host, Registry>>,
}

impl std::fmt::Debug for Registries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registries")
            .field("endpoints", &self.shared.endpoints)
            .finish_non_exhaustive()
    }
}

impl Registries {
    /// Creates the registries with the settings of `endpoints`; any other host has the defaults.
    #[must_use]
    pub fn new(endpoints: Vec<RegistryEndpoint>, env: RegistryEnv) -> Self {
        let env = Arc::new(env);
        let credentials = Arc::new(credentials::Credentials::new(env.clone()));
        Self {
            shared: Arc::new(RegistriesInner {
                endpoints,
                env,
                credentials,
                handles: Mutex::default(),
            }),
        }
    }

    /// The handle for a host, created on first use.
    #[must_use]
    pub fn at(&self, host: &Host) -> Registry {
        let shared = &self.shared;
        let mut handles = shared
            .handles
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let endpoint = self.endpoint(host);
            let credentials = shared.credentials.clone();
            Registry {
                inner: Arc::new(Inner {
                    host: host.clone(),
                    auth: auth::Auth::new(host.clone(), credentials),
                    http: http::Http::new(endpoint, shared.env.clone()),
                    env: shared.env.clone(),
                    limiter: tokio::sync::Semaphore::new(CONCURRENCY),
                    fan_out: OptionalFeature::default(),
                    one_request: OptionalFeature::default(),
                    lacks_referrer_lists: AtomicBool::new(false),
                    absent: Mutex::default(),
                    uploaded_to: Mutex::default(),
                }),
            }
        };
        handles.entry(host.clone()).or_insert_with(make).clone()
    }

    /// The login for a host, for an engine that accesses the registry itself. Returns `None` if
    /// golden itself would not send the login either, because the registry uses plain HTTP.
    pub async fn credential(&self, host: &Host) -> Result<Option<Credential>, Error> {
        match self.find_login(host).await? {
            Lookup::Found(login) => Ok(Some(login.credential)),
            Lookup::Absent(_) => Ok(None),
        }
    }

    /// The login that golden sends to a host, or the reason why it sends none.
    async fn find_login(&self, host: &Host) -> Result<Lookup, Error> {
        let registry = self.at(host);
        let http = &registry.inner.http;
        if !http.may_carry_login(&http.own()?) {
            return Ok(Lookup::Absent(NoLogin {
                why: "the registry uses plain HTTP, so no login is sent".to_owned(),
                hint: None,
            }));
        }
        self.shared.credentials.find(host, None).await
    }

    fn endpoint(&self, host: &Host) -> RegistryEndpoint {
        let named = self
            .shared
            .endpoints
            .iter()
            .find(|endpoint| endpoint.host == *host);
        named
            .cloned()
            .unwrap_or_else(|| RegistryEndpoint::of(host.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_engine_receives_no_login_that_golden_does_not_send() {
        let auths: Vec<String> = ["a.example", "localhost:1"]
            .map(|host| format!(r#""{host}":{{"auth":"YW5uOnM="}}"#))
            .to_vec();
        let config = format!(r#"{{"auths":{{{}}}}}"#, auths.join(","));
        for (host, http, clear_login, expected) in [
            ("a.example", false, false, true),
            ("a.example", true, false, false),
            ("a.example", true, true, true),
            ("localhost:1", false, false, true),
            ("localhost:1", true, false, true),
        ] {
            let host: Host = host.parse().unwrap();
            let vars = BTreeMap::from([("DOCKER_AUTH_CONFIG".to_owned(), config.clone())]);
            let endpoint = RegistryEndpoint {
                http,
                clear_login,
                ..RegistryEndpoint::of(host.clone())
            };
            let registries = Registries::new(vec![endpoint], RegistryEnv::from_vars(&vars));
            let found = registries.credential(&host).await.unwrap();
            assert_eq!(found.is_some(), expected, "{host} {http} {clear_login}");
            let login = registries.login(&host).await.unwrap();
            let is_known = matches!(login, LoginFacts::Known { .. });
            assert_eq!(is_known, expected, "{host} {http} {clear_login}");
        }
    }
}
