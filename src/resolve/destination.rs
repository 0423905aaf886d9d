//! Where images are published to.

use std::path::PathBuf;

use crate::reference::{Error, Host, Repository, RepositoryPath};

/// A registry to publish to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Its name in golden.toml, or the text of `--registry`; also the folder of its receipts.
    pub name: String,
    /// The registry.
    pub host: Host,
    /// Prefix of every repository; may be empty.
    pub namespace: String,
    /// An extra root for TLS, an absolute path to a PEM file.
    pub ca: Option<PathBuf>,
    /// Whether plain HTTP was asked for.
    pub http: bool,
}

impl Destination {
    /// The repository of an image here. Fails when the namespace makes the path too long.
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
