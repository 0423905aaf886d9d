//! Caches the configs of manifests by manifest digest. Content with a digest never changes.

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::Error;
use crate::image::first_config;
use crate::oci::{ImageConfig, RawManifest};
use crate::reference::Digest;
use crate::registry::Repo;
use crate::workspace::state::StateDirectory;
use crate::workspace::user_cache::UserCache;

/// The runtime part of image configs, by the digest of their manifest. The cache is in the user's
/// cache directory and not in the workspace, because the stored part alone cannot be verified
/// against the digest. A lost cache only costs requests.
#[derive(Debug, Clone, Default)]
pub struct ConfigCache(UserCache);

impl ConfigCache {
    /// The cache of the user who runs golden.
    #[must_use]
    pub fn of(state: StateDirectory) -> Self {
        Self(state.into_user_cache())
    }

    /// A cache that stores nothing.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The runtime config of a manifest; `None` if it is not cached or cannot be parsed.
    #[must_use]
    pub fn get(&self, manifest: &Digest) -> Option<ImageConfig> {
        ImageConfig::parse(&self.0.read(file(manifest))?).ok()
    }

    /// Stores the runtime config of a manifest, without history and layers. Does nothing if the
    /// user's cache is not writable.
    pub fn put(&self, manifest: &Digest, config: &ImageConfig) {
        let runtime = Value::Object(config.runtime().cloned().unwrap_or_default());
        let cached = Value::Object(Map::from_iter([("config".to_owned(), runtime)]));
        self.0.write(file(manifest), cached.to_string().as_bytes());
    }

    /// Reads the config below a manifest, from the cache if possible, and caches it. Fails if the
    /// manifest or the config is invalid or cannot be read.
    pub async fn config(&self, repo: &Repo, raw: &RawManifest) -> Result<ImageConfig, Error> {
        if let Some(config) = self.get(&raw.digest) {
            return Ok(config);
        }
        let config = first_config(repo, raw).await?.unwrap_or_default();
        self.put(&raw.digest, &config);
        Ok(config)
    }
}

fn file(manifest: &Digest) -> PathBuf {
    PathBuf::from("published").join(format!("{}-{}.json", manifest.algorithm(), manifest.hex()))
}
