//! One repository of a registry.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{MutexGuard, PoisonError};

use reqwest::Url;

use super::auth::AuthScope;
use super::{Error, FailureKind, Registries, Registry};
use crate::reference::{Digest, Repository, RepositoryPath, Tag};

/// A handle on one repository of a registry: cheap to clone, like [`Registry`]. `manifest`, `blob`,
/// `upload`, `list` and `referrers` implement its endpoints.
#[derive(Debug, Clone)]
pub struct Repo {
    pub(super) registry: Registry,
    repository: Repository,
}

impl Registries {
    /// The handle for a repository.
    #[must_use]
    pub fn repo(&self, repository: &Repository) -> Repo {
        self.at(&repository.host).repo(&repository.path)
    }
}

impl Registry {
    /// The handle for a repository of this registry.
    #[must_use]
    pub fn repo(&self, path: &RepositoryPath) -> Repo {
        Repo {
            registry: self.clone(),
            repository: Repository {
                host: self.host().clone(),
                path: path.clone(),
            },
        }
    }
}

impl Repo {
    /// The registry of the repository.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The name of the repository, with its host.
    #[must_use]
    pub const fn name(&self) -> &Repository {
        &self.repository
    }

    /// The path of the repository on its host.
    #[must_use]
    pub const fn path(&self) -> &RepositoryPath {
        &self.repository.path
    }

    /// The URL of an endpoint of the repository.
    pub(super) fn url(&self, endpoint: &str) -> Result<Url, Error> {
        self.registry
            .url(&format!("/v2/{}/{endpoint}", self.path()))
    }

    /// The error for a manifest that was read, but has a problem.
    pub(crate) fn error(
        &self,
        kind: FailureKind,
        manifest: &Digest,
        message: impl Into<String>,
    ) -> Error {
        let url = self.shown_url(&format!("manifests/{manifest}"));
        Error::new(kind, "GET", &url, message)
    }

    /// The URL of an endpoint, for an error that is not about one request.
    pub(super) fn shown_url(&self, endpoint: &str) -> String {
        format!("{}/v2/{}/{endpoint}", self.registry.host(), self.path())
    }

    pub(super) fn scope(&self, actions: &str) -> AuthScope {
        AuthScope::repository(self.path(), actions)
    }

    /// Records that the repository has no tags, and that the registry serves none of `tags`.
    pub(super) fn remember_absent(&self, tags: impl IntoIterator<Item = Tag>) {
        let mut absent = self.absent();
        absent.entry(self.path().clone()).or_default().extend(tags);
    }

    /// The tags that the registry did not serve while the repository had no tags.
    pub(super) fn known_absent(&self) -> BTreeSet<Tag> {
        self.absent().get(self.path()).cloned().unwrap_or_default()
    }

    /// True if the repository had no tags when they were read, and this run has put no manifest into
    /// it since.
    pub(super) fn is_absent(&self) -> bool {
        self.absent().contains_key(self.path())
    }

    /// Records that the repository has tags or manifests.
    pub(super) fn remember_present(&self) {
        self.absent().remove(self.path());
    }

    fn absent(&self) -> MutexGuard<'_, BTreeMap<RepositoryPath, BTreeSet<Tag>>> {
        let absent = &self.registry.inner.absent;
        absent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
