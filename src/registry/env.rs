//! What the client takes from the process's surroundings, as values: nothing here reads the environment.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::scope::LoginScope;
use crate::process::Environment;
use crate::secret::Secret;

/// Where credentials, certificates and proxies are, and how patient the client is.
#[derive(Debug, Clone)]
pub struct RegistryEnv {
    /// The environment that credential helpers get theirs from.
    pub programs: Environment,
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `DOCKER_CONFIG`: the folder of config.json.
    pub docker_config: Option<PathBuf>,
    /// `DOCKER_AUTH_CONFIG`: the text of a config.json.
    pub docker_auth_config: Option<Secret<String>>,
    /// `REGISTRY_AUTH_FILE`.
    pub registry_auth_file: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`.
    pub xdg_runtime_dir: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`.
    pub xdg_config_home: Option<PathBuf>,
    /// `GOLDEN_REGISTRY_USER`, without a line break at its end.
    pub user: Option<String>,
    /// `GOLDEN_REGISTRY_PASSWORD`, without a line break at its end: `$(cat FILE)` and `echo` leave one.
    pub password: Option<Secret<String>>,
    /// The registries that this login is for.
    pub scope: LoginScope,
    /// `HTTP_PROXY`; it may hold a password.
    pub http_proxy: Option<Secret<String>>,
    /// `HTTPS_PROXY`; it may hold a password.
    pub https_proxy: Option<Secret<String>>,
    /// `NO_PROXY`.
    pub no_proxy: Option<String>,
    /// Where Docker keeps certificate authorities, a folder a host.
    pub certificates: PathBuf,
    /// How long and how often something is tried.
    pub retry_policy: RetryPolicy,
}

/// How long and how often something is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How long a connection may take to be made.
    pub connect: Duration,
    /// How long nothing may move; the answer to a finished upload may take four times as long.
    pub stall: Duration,
    /// How often a request is made in all.
    pub attempts: u32,
    /// The longest first pause; it doubles with each attempt, and the real pause is anything up to it.
    pub pause: Duration,
    /// The longest pause, and the longest `Retry-After` that is waited for.
    pub longest_pause: Duration,
    /// How long a registry may take to show what was written: some answer reads from replicas.
    pub settle: Duration,
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
        }
    }
}

impl RegistryEnv {
    /// Picks the variables that matter out of an environment. An empty variable counts as not set.
    #[must_use]
    pub fn from_vars(vars: &BTreeMap<String, String>) -> Self {
        let get = |name: &str| vars.get(name).filter(|value| !value.is_empty()).cloned();
        // `docker login --password-stdin` removes it, too.
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
