//! Finds the Docker Engine to use: `DOCKER_HOST`, else the current Docker context, else the default
//! socket.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::super::Error;
use super::super::daemon::tls::{Settings, TlsDirectory};
use super::environment::DockerEnv;
use crate::config_files::engine_address::EngineAddress;
use crate::reference::Digest;

/// The address of an engine and its TLS settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EngineEndpoint {
    pub(super) address: EngineAddress,
    /// TLS settings; only for a TCP address.
    pub(super) tls: Option<Settings>,
    /// The setting that selected the engine.
    pub(super) source: EngineSource,
}

/// The setting that selects a Docker Engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub enum EngineSource {
    /// `DOCKER_HOST`, or the `host` of an `[[engine]]`.
    Host,
    /// A Docker context: `DOCKER_CONTEXT`, or the current context of config.json.
    Context(String),
    /// No setting: the default socket.
    Default,
}

impl fmt::Display for EngineSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("host"),
            Self::Context(name) => write!(f, "context `{name}`"),
            Self::Default => f.write_str("default socket"),
        }
    }
}

impl From<EngineSource> for String {
    fn from(source: EngineSource) -> Self {
        source.to_string()
    }
}

/// `meta.json` of a Docker context.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Meta {
    #[serde(default)]
    endpoints: std::collections::BTreeMap<String, MetaEndpoint>,
}

/// An endpoint in `meta.json`.
#[derive(Debug, Deserialize)]
struct MetaEndpoint {
    #[serde(rename = "Host", default)]
    host: String,
    #[serde(rename = "SkipTLSVerify", default)]
    skip_tls_verify: bool,
}

/// The part of config.json that this module reads.
#[derive(Debug, Default, Deserialize)]
struct ConfigFile {
    #[serde(rename = "currentContext", default)]
    current_context: String,
}

impl EngineEndpoint {
    /// Returns the engine that the environment selects. Fails if an address is invalid, or if the
    /// Docker context does not exist or cannot be read.
    pub(super) async fn find(environment: &DockerEnv) -> Result<Self, Error> {
        if let Some(host) = &environment.host {
            return Self::of_host(host, environment);
        }
        let context = match (&environment.context, &environment.config_dir) {
            (Some(name), _) => Some(name.clone()),
            (None, Some(directory)) => current_context(directory).await?,
            (None, None) => None,
        };
        match (context.as_deref(), &environment.config_dir) {
            (None | Some("" | "default"), _) => Ok(Self {
                address: EngineAddress::default_socket(),
                tls: None,
                source: EngineSource::Default,
            }),
            (Some(name), Some(directory)) => Self::of_context(name, directory).await,
            (Some(name), None) => Err(no_context(name)),
        }
    }

    /// The engine of `DOCKER_HOST`.
    fn of_host(host: &str, environment: &DockerEnv) -> Result<Self, Error> {
        let address: EngineAddress = host.parse().map_err(|what| Error::Address { what })?;
        let uses_tls = environment.tls_verify || environment.tls || host.starts_with("https://");
        let tls = (uses_tls && matches!(address, EngineAddress::Tcp { .. })).then(|| Settings {
            directory: environment
                .cert_path
                .clone()
                .or_else(|| environment.config_dir.clone().map(TlsDirectory::from)),
            verify: environment.tls_verify || !environment.tls,
        });
        Ok(Self {
            address,
            tls,
            source: EngineSource::Host,
        })
    }

    /// The engine of a Docker context. The directory of a context is named by the SHA-256 digest of
    /// the context's name.
    async fn of_context(name: &str, config_directory: &Path) -> Result<Self, Error> {
        let hash = Digest::of(name.as_bytes());
        let meta = config_directory
            .join("contexts/meta")
            .join(hash.hex())
            .join("meta.json");
        let Some(meta) = read_json::<Meta>(&meta).await? else {
            return Err(no_context(name));
        };
        let Some(endpoint) = meta
            .endpoints
            .get("docker")
            .filter(|endpoint| !endpoint.host.is_empty())
        else {
            return Err(Error::Address {
                what: format!("the Docker context `{name}` has no address of a Docker Engine"),
            });
        };
        let address: EngineAddress = endpoint
            .host
            .parse()
            .map_err(|what| Error::Address { what })?;
        let directory = config_directory
            .join("contexts/tls")
            .join(hash.hex())
            .join("docker");
        let has_tls = tokio::fs::try_exists(&directory).await.unwrap_or(false);
        let uses_tls = has_tls || endpoint.skip_tls_verify || endpoint.host.starts_with("https://");
        let tls = (uses_tls && matches!(address, EngineAddress::Tcp { .. })).then(|| Settings {
            directory: has_tls.then(|| directory.into()),
            verify: !endpoint.skip_tls_verify,
        });
        Ok(Self {
            address,
            tls,
            source: EngineSource::Context(name.to_owned()),
        })
    }
}

/// `currentContext` of config.json, if it is set.
async fn current_context(config_directory: &Path) -> Result<Option<String>, Error> {
    let config = read_json::<ConfigFile>(&config_directory.join("config.json"))
        .await?
        .unwrap_or_default();
    Ok(Some(config.current_context).filter(|name| !name.is_empty()))
}

/// Reads a JSON file. Returns `None` if the file does not exist.
async fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    let unreadable = |error: &dyn std::fmt::Display| Error::Address {
        what: format!("{} cannot be read: {error}", path.display()),
    };
    match tokio::fs::read(path).await {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| unreadable(&error)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(&error)),
    }
}

fn no_context(name: &str) -> Error {
    Error::Address {
        what: format!("no Docker context `{name}`; `docker context ls` lists the contexts"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "the test owns this file")]
    fn write(path: &Path, text: &str) {
        std::fs::write(path, text).unwrap();
    }

    /// A configuration directory with a current context `remote` and a context `secure` that has
    /// TLS files.
    fn directory() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let put = |path: String, text: &str| {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            write(&path, text);
        };
        put(
            "config.json".into(),
            r#"{"currentContext": "remote", "auths": {}}"#,
        );
        for (name, host) in [("remote", "ssh://me@build"), ("secure", "tcp://build:2376")] {
            let hash = Digest::of(name.as_bytes());
            put(
                format!("contexts/meta/{}/meta.json", hash.hex()),
                &format!(
                    r#"{{"Name":"{name}","Metadata":{{}},"Endpoints":{{"docker":{{"Host":"{host}","SkipTLSVerify":false}}}}}}"#
                ),
            );
        }
        put(
            format!("contexts/tls/{}/docker/ca.pem", Digest::of(b"secure").hex()),
            "",
        );
        directory
    }

    async fn find(environment: DockerEnv) -> String {
        match EngineEndpoint::find(&environment).await {
            Ok(EngineEndpoint { address, tls, .. }) => {
                let tls = tls.map(|tls| {
                    if tls.verify {
                        " verified"
                    } else {
                        " unverified"
                    }
                });
                format!("{address}{}", tls.unwrap_or_default())
            }
            Err(error) => error.to_string(),
        }
    }

    #[tokio::test]
    async fn docker_host_overrides_the_context_and_the_context_overrides_the_default() {
        let directory = directory();
        let config_dir = Some(directory.path().to_path_buf());
        let host = |host: &str| Some(host.to_owned());
        for (environment, found) in [
            (DockerEnv::default(), "unix:///var/run/docker.sock"),
            (
                DockerEnv {
                    config_dir: config_dir.clone(),
                    ..Default::default()
                },
                "ssh://me@build",
            ),
            (
                DockerEnv {
                    config_dir: config_dir.clone(),
                    context: host("secure"),
                    ..Default::default()
                },
                "tcp://build:2376 verified",
            ),
            (
                DockerEnv {
                    config_dir: config_dir.clone(),
                    context: host("default"),
                    ..Default::default()
                },
                "unix:///var/run/docker.sock",
            ),
            (
                DockerEnv {
                    config_dir: config_dir.clone(),
                    context: host("none"),
                    ..Default::default()
                },
                "no Docker context `none`; `docker context ls` lists the contexts",
            ),
            (
                DockerEnv {
                    config_dir: config_dir.clone(),
                    host: host("tcp://a:1"),
                    ..Default::default()
                },
                "tcp://a:1",
            ),
            (
                DockerEnv {
                    host: host("tcp://a:1"),
                    tls_verify: true,
                    ..Default::default()
                },
                "tcp://a:1 verified",
            ),
            (
                DockerEnv {
                    host: host("tcp://a:1"),
                    tls: true,
                    ..Default::default()
                },
                "tcp://a:1 unverified",
            ),
            (
                DockerEnv {
                    host: host("unix:///s"),
                    tls_verify: true,
                    ..Default::default()
                },
                "unix:///s",
            ),
        ] {
            assert_eq!(find(environment.clone()).await, found, "{environment:?}");
        }
    }

    #[tokio::test]
    async fn an_invalid_config_is_reported_with_its_path() {
        let directory = tempfile::tempdir().unwrap();
        write(&directory.path().join("config.json"), "{");
        let error = find(DockerEnv {
            config_dir: Some(directory.path().into()),
            ..Default::default()
        })
        .await;
        assert!(error.contains("config.json cannot be read"), "{error}");
    }
}
