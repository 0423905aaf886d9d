//! What a manifest's config says, remembered by the manifest's digest: content with a digest never changes.

use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::oci::ImageConfig;
use crate::reference::Digest;
use crate::workspace::state::StateDirectory;
use crate::workspace::user_cache::UserCache;

/// The runtime part of images' configs by the digest of their manifest, in the user's cache: what is kept is less than the
/// digest is of, so that a workspace could not prove it. Losing it costs requests.
#[derive(Debug, Clone, Default)]
pub struct ConfigCache(UserCache);

impl ConfigCache {
    /// The cache of a workspace's user.
    #[must_use]
    pub fn of(state: StateDirectory) -> Self {
        Self(state.into_user_cache())
    }

    /// A cache that remembers nothing.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The config of a manifest, as far as it was kept; none when it is not remembered, or not readable any more.
    #[must_use]
    pub fn get(&self, manifest: &Digest) -> Option<ImageConfig> {
        ImageConfig::parse(&self.0.read(file(manifest))?).ok()
    }

    /// Remembers the config of a manifest, but for its history and the names of its layers. Where the
    /// user's cache cannot be written it does not.
    pub fn put(&self, manifest: &Digest, config: &ImageConfig) {
        let runtime = Value::Object(config.runtime().cloned().unwrap_or_default());
        let kept = Value::Object(Map::from_iter([("config".to_owned(), runtime)]));
        self.0.write(file(manifest), kept.to_string().as_bytes());
    }
}

fn file(manifest: &Digest) -> PathBuf {
    PathBuf::from("published").join(format!("{}-{}.json", manifest.algorithm(), manifest.hex()))
}
