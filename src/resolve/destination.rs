//! A [`Destination`]: the registry and the namespace that images are published to.

use std::path::PathBuf;

use crate::reference::{Error, Host, Repository, RepositoryPath};

/// A registry to publish to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The name in golden.toml, or the text of `--registry`. It is also the directory name of the
    /// receipts.
    pub name: String,
    /// The host and port of the registry.
    pub host: Host,
    /// The prefix of every repository; may be empty.
    pub namespace: String,
    /// The absolute path of a PEM file with an additional root certificate for TLS.
    pub ca: Option<PathBuf>,
    /// True if the registry is used over plain HTTP.
    pub http: bool,
}

impl Destination {
    /// The repository of an image in this registry. Fails if the namespace makes the path too long.
    pub fn repository(&self, name: &RepositoryPath) -> Result<Repository, Error> {
        Ok(Repository {
            host: self.host.clone(),
            path: name.below(&self.namespace)?,
        })
    }
}

impl std::str::FromStr for Destination {
    type Err = Error;

    /// Parses `HOST[:PORT][/NAMESPACE]`.
    fn from_str(text: &str) -> Result<Self, Error> {
        crate::reference::without_scheme(text)?;
        let (host, namespace) = text.split_once('/').unwrap_or((text, ""));
        let namespace = namespace.trim_end_matches('/');
        if !namespace.is_empty() {
            namespace.parse::<RepositoryPath>()?;
        }
        Ok(Self {
            name: text.trim_end_matches('/').to_owned(),
            host: host.parse()?,
            namespace: namespace.to_owned(),
            ca: None,
            http: false,
        })
    }
}
