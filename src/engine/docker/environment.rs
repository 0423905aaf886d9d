//! The environment variables that select and configure the Docker Engine.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::super::daemon::bounds::Timeouts;
use super::super::daemon::tls::TlsDirectory;
use crate::process::Environment;

/// The settings of the Docker Engine from the environment. An empty variable counts as not set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DockerEnv {
    /// `DOCKER_HOST`: `unix://…`, `tcp://…`, `ssh://…`.
    pub host: Option<String>,
    /// `DOCKER_CONTEXT`: a Docker context. It overrides the current context of config.json, but not
    /// `DOCKER_HOST`.
    pub context: Option<String>,
    /// `DOCKER_CONFIG`, else `$HOME/.docker`: the directory with config.json and the contexts.
    pub config_dir: Option<PathBuf>,
    /// `DOCKER_CERT_PATH`: a directory with ca.pem, cert.pem and key.pem.
    pub cert_path: Option<TlsDirectory>,
    /// `DOCKER_TLS_VERIFY`: use TLS and verify the certificate of the engine.
    pub tls_verify: bool,
    /// `DOCKER_TLS`: use TLS and accept any certificate.
    pub tls: bool,
    /// `DOCKER_BUILDKIT`: use or do not use BuildKit. `None` means: use it if the engine has it.
    pub buildkit: Option<bool>,
    /// `DOCKER_API_VERSION`: use only this version of the API.
    pub api_version: Option<String>,
    /// The environment for ssh, which receives a part of it.
    pub programs: Environment,
    /// The time limits of requests.
    pub timeouts: Timeouts,
}

impl DockerEnv {
    /// Reads the settings from environment variables.
    #[must_use]
    pub fn from_vars(vars: &BTreeMap<String, String>) -> Self {
        let var = |name: &str| vars.get(name).filter(|value| !value.is_empty());
        Self {
            host: var("DOCKER_HOST").cloned(),
            context: var("DOCKER_CONTEXT").cloned(),
            config_dir: var("DOCKER_CONFIG")
                .map(PathBuf::from)
                .or_else(|| var("HOME").map(|home| PathBuf::from(home).join(".docker"))),
            cert_path: var("DOCKER_CERT_PATH").map(|path| PathBuf::from(path).into()),
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
            timeouts: Timeouts::default(),
        }
    }
}
