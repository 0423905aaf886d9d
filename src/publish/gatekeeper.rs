//! The conditions that must hold before a tag moves.

use crate::oci::RawManifest;
use crate::registry::Repo;

/// Decides if the tags of an image may move. The registries already have the image by digest.
#[async_trait::async_trait]
pub trait Gatekeeper: Send + Sync {
    /// Returns the reason, as one sentence, if no tag may move.
    async fn admit(&self, repo: &Repo, image: &RawManifest) -> Result<(), String>;
}
