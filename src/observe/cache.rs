//! Caches the configs of manifests by manifest digest. Content with a digest never changes.

use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::oci::ImageConfig;
use crate::reference::Digest;
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
}

fn file(manifest: &Digest) -> PathBuf {
    PathBuf::from("published").join(format!("{}-{}.json", manifest.algorithm(), manifest.hex()))
}
