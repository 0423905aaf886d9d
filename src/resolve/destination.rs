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

    /// The name of the image that this registry has in a repository; `None` if the repository is
    /// outside of this registry or of its namespace.
    #[must_use]
    pub fn image_in<'r>(&self, repository: &'r Repository) -> Option<&'r str> {
        let path = repository.path.as_str();
        let below = match self.namespace.as_str() {
            "" => Some(path),
            namespace => path.strip_prefix(namespace)?.strip_prefix('/'),
        };
        below.filter(|_| self.host == repository.host)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_image_is_found_in_its_repository() {
        for (registry, repository, expected) in [
            (
                "r.example/golden",
                "r.example/golden/team/app",
                Some("team/app"),
            ),
            ("r.example", "r.example/team/app", Some("team/app")),
            ("r.example/golden", "r.example/golden", None),
            ("r.example/golden", "r.example/goldenrod/app", None),
            ("r.example/golden", "r.example/team/app", None),
            ("r.example/golden", "other.example/golden/app", None),
        ] {
            let destination: Destination = registry.parse().unwrap();
            let repository: Repository = repository.parse().unwrap();
            let found = destination.image_in(&repository);
            assert_eq!(found, expected, "{repository} in {registry}");
            if let Some(name) = found {
                let name = name.parse().unwrap();
                assert_eq!(destination.repository(&name).unwrap(), repository);
            }
        }
    }
}
