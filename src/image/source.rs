//! The locations that images are read from.

use super::Error;
use super::config::METADATA_LIMIT;
use crate::oci::{Bytes, Descriptor, Manifest, RawManifest};
use crate::reference::Digest;
use crate::registry::{self, FailureKind, Repo};

/// A location of manifests and configs.
pub trait Source: Sync {
    /// The error of the location.
    type Error: Send;

    /// Reads a manifest. Returns `None` if it does not exist.
    fn manifest(
        &self,
        descriptor: &Descriptor,
    ) -> impl Future<Output = Result<Option<RawManifest>, Self::Error>> + Send;

    /// Reads a config into memory and verifies its digest.
    fn metadata(
        &self,
        descriptor: &Descriptor,
    ) -> impl Future<Output = Result<Bytes, Self::Error>> + Send;

    /// The error for a manifest that does not exist.
    fn missing(&self, digest: &Digest) -> Self::Error;

    /// The error for content that cannot be used. `digest` is the digest of its manifest.
    fn unusable(&self, digest: &Digest, problem: Error) -> Self::Error;

    /// Parses a manifest of this location.
    fn parse(&self, raw: &RawManifest) -> Result<Manifest, Self::Error> {
        raw.parse()
            .map_err(|error| self.unusable(&raw.digest, error.into()))
    }
}

impl Source for Repo {
    type Error = registry::Error;

    async fn manifest(&self, descriptor: &Descriptor) -> Result<Option<RawManifest>, Self::Error> {
        Self::manifest(self, &descriptor.digest).await
    }

    async fn metadata(&self, descriptor: &Descriptor) -> Result<Bytes, Self::Error> {
        self.blob(descriptor, METADATA_LIMIT).await
    }

    fn missing(&self, digest: &Digest) -> Self::Error {
        self.error(FailureKind::NotFound, digest, "the manifest does not exist")
    }

    fn unusable(&self, digest: &Digest, problem: Error) -> Self::Error {
        self.error(FailureKind::Unsupported, digest, problem.to_string())
    }
}
