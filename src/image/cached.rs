//! A repository whose configs are kept in the user's cache.

use std::path::PathBuf;

use super::{Error, Source};
use crate::oci::{Bytes, Descriptor, RawManifest};
use crate::reference::Digest;
use crate::registry::{self, Repo};
use crate::workspace::user_cache::UserCache;

/// Reads manifests from the registry, and each config only once on this machine.
#[derive(Debug, Clone, Copy)]
pub struct CachedConfigs<'a> {
    /// The repository.
    pub repo: &'a Repo,
    /// The cache.
    pub cache: &'a UserCache,
}

impl Source for CachedConfigs<'_> {
    type Error = registry::Error;

    async fn manifest(&self, descriptor: &Descriptor) -> Result<Option<RawManifest>, Self::Error> {
        Source::manifest(self.repo, descriptor).await
    }

    async fn metadata(&self, descriptor: &Descriptor) -> Result<Bytes, Self::Error> {
        let digest = &descriptor.digest;
        let file = PathBuf::from("configs")
            .join(digest.algorithm())
            .join(digest.hex());
        if let Some(bytes) = self.cache.read(&file).filter(|bytes| digest.is_of(bytes)) {
            return Ok(bytes.into());
        }
        let bytes = Source::metadata(self.repo, descriptor).await?;
        self.cache.write(&file, &bytes);
        Ok(bytes)
    }

    fn missing(&self, digest: &Digest) -> Self::Error {
        Source::missing(self.repo, digest)
    }

    fn unusable(&self, digest: &Digest, problem: Error) -> Self::Error {
        Source::unusable(self.repo, digest, problem)
    }
}
