//! The surroundings that decide which engine is spoken to, as values.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::process::Environment;

/// What the environment says about the Docker Engine. Empty variables count as not set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DockerEnv {
    /// `DOCKER_HOST`: `unix://…`, `tcp://…`, `ssh://…`.
    pub host: Option<String>,
    /// `DOCKER_CONTEXT`: a docker context; wins over the current one of config.json, not over `DOCKER_HOST`.
    pub context: Option<String>,
    /// `DOCKER_CONFIG`, else `$HOME/.docker`: where config.json and contexts are.
    pub config_dir: Option<PathBuf>,
    /// `DOCKER_CERT_PATH`: a directory with ca.pem, cert.pem and key.pem.
    pub cert_path: Option<PathBuf>,
    /// `DOCKER_TLS_VERIFY`: TLS, and the engine's certificate must be good.
    pub tls_verify: bool,
    /// `DOCKER_TLS`: TLS, whoever answers.
    pub tls: bool,
    /// `DOCKER_BUILDKIT`: which builder; without, BuildKit where the engine has it.
    pub buildkit: Option<bool>,
    /// `DOCKER_API_VERSION`: this version of the API and no other.
    pub api_version: Option<String>,
    /// The environment that ssh gets its own from.
    pub programs: Environment,
}

impl DockerEnv {
    /// Picks what matters out of an environment.
    #[must_use]
    pub fn from_vars(vars: &BTreeMap<String, String>) -> Self {
        let var = |name: &str| vars.get(name).filter(|value| !value.is_empty());
        Self {
            host: var("DOCKER_HOST").cloned(),
            context: var("DOCKER_CONTEXT").cloned(),
            config_dir: var("DOCKER_CONFIG")
                .map(PathBuf::from)
                .or_else(|| var("HOME").map(|home| PathBuf::from(home).join(".docker"))),
            cert_path: var("DOCKER_CERT_PATH").map(PathBuf::from),
            tls_verify: var("DOCKER_TLS_VERIFY").is_some(),
            tls: var("DOCKER_TLS").is_some(),
            buildkit: var("DOCKER_BUILDKIT").map(|value| {
                !matches!(
                    value.as_str(),
                    "0" | "false" | "f" | "F" | "FALSE" | "False"
                )
            }),
            api_version: var("DOCKER_API_VERSION").cloned(),
            programs: Environment::new(vars.clone()),
        }
    }
}
