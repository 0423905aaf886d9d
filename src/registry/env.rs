//! The settings of the registry client. They are passed in as values; this module does not read the
//! environment.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::scope::LoginScope;
use crate::process::Environment;
use crate::secret::Secret;

/// The locations of credentials and certificates, the proxies, and the retry policy.
#[derive(Debug, Clone)]
pub struct RegistryEnv {
    /// The environment for credential helpers.
    pub programs: Environment,
    /// The value of `HOME`.
    pub home: Option<PathBuf>,
    /// `DOCKER_CONFIG`: the directory of config.json.
    pub docker_config: Option<PathBuf>,
    /// `DOCKER_AUTH_CONFIG`: the content of a config.json.
    pub docker_auth_config: Option<Secret<String>>,
    /// The value of `REGISTRY_AUTH_FILE`: the login file of Podman and skopeo.
    pub registry_auth_file: Option<PathBuf>,
    /// The value of `XDG_RUNTIME_DIR`.
    pub xdg_runtime_dir: Option<PathBuf>,
    /// The value of `XDG_CONFIG_HOME`.
    pub xdg_config_home: Option<PathBuf>,
    /// `GOLDEN_REGISTRY_USER` without a trailing line break.
    pub user: Option<String>,
    /// `GOLDEN_REGISTRY_PASSWORD` without a trailing line break, which `echo` and `$(cat FILE)` may
    /// leave.
    pub password: Option<Secret<String>>,
    /// The registries that this login may be sent to.
    pub scope: LoginScope,
    /// `HTTP_PROXY`; it may contain a password.
    pub http_proxy: Option<Secret<String>>,
    /// `HTTPS_PROXY`; it may contain a password.
    pub https_proxy: Option<Secret<String>>,
    /// The value of `NO_PROXY`: the hosts that are reached without a proxy.
    pub no_proxy: Option<String>,
    /// Docker's directory of certificate authorities, with one subdirectory per host.
    pub certificates: PathBuf,
    /// The number of attempts and the time limits.
    pub retry_policy: RetryPolicy,
}

/// The number of attempts and the time limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The maximum time to establish a connection.
    pub connect: Duration,
    /// The maximum time without any data; the response to a finished upload may take four times as
    /// long.
    pub stall: Duration,
    /// The maximum number of times that a request is sent.
    pub attempts: u32,
    /// The upper limit of the first pause. It doubles with each attempt; the actual pause is random
    /// below it.
    pub pause: Duration,
    /// The upper limit of a pause, and of a `Retry-After` that is followed.
    pub longest_pause: Duration,
    /// The maximum time until a write must be visible: some registries answer reads from replicas.
    pub settle: Duration,
    /// The maximum time until all pages of a list are read.
    pub list: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            stall: Duration::from_secs(30),
            attempts: 6,
            pause: Duration::from_millis(300),
            longest_pause: Duration::from_mins(1),
            settle: Duration::from_secs(30),
            list: Duration::from_mins(10),
        }
    }
}

impl RegistryEnv {
    /// Reads the relevant variables. An empty variable counts as not set.
    #[must_use]
    pub fn from_vars(vars: &BTreeMap<String, String>) -> Self {
        let get = |name: &str| vars.get(name).filter(|value| !value.is_empty()).cloned();
        // `docker login --password-stdin` also removes a trailing line break.
        let line = |name: &str| {
            get(name)
                .map(|value| value.trim_end_matches(['\r', '\n']).to_owned())
                .filter(|v| !v.is_empty())
        };
        let either = |name: &str| get(name).or_else(|| get(&name.to_ascii_lowercase()));
        let path = |name: &str| get(name).map(PathBuf::from);
        let all = either("ALL_PROXY");
        let seconds = |name: &str| {
            get(name)
                .and_then(|text| text.parse().ok())
                .filter(|&s| s > 0)
                .map(Duration::from_secs)
        };
        let retry_policy = RetryPolicy::default();
        Self {
            programs: Environment::new(vars.clone()),
            home: path("HOME"),
            docker_config: path("DOCKER_CONFIG"),
            docker_auth_config: get("DOCKER_AUTH_CONFIG").map(Secret::new),
            registry_auth_file: path("REGISTRY_AUTH_FILE"),
            xdg_runtime_dir: path("XDG_RUNTIME_DIR"),
            xdg_config_home: path("XDG_CONFIG_HOME"),
            user: line("GOLDEN_REGISTRY_USER"),
            password: line("GOLDEN_REGISTRY_PASSWORD").map(Secret::new),
            scope: LoginScope::default(),
            http_proxy: either("HTTP_PROXY")
                .or_else(|| all.clone())
                .map(Secret::new),
            https_proxy: either("HTTPS_PROXY").or(all).map(Secret::new),
            no_proxy: either("NO_PROXY"),
            certificates: "/etc/docker/certs.d".into(),
            retry_policy: RetryPolicy {
                stall: seconds("GOLDEN_REGISTRY_TIMEOUT").unwrap_or(retry_policy.stall),
                settle: seconds("GOLDEN_REGISTRY_SETTLE").unwrap_or(retry_policy.settle),
                ..retry_policy
            },
        }
    }
}
