//! What a manifest's config says, remembered by the manifest's digest: content with a digest never changes.

use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::oci::ImageConfig;
use crate::reference::Digest;
use crate::workspace::fs;
use crate::workspace::state::{Error, State};

/// The runtime part of images' configs by the digest of their manifest, under `.golden/cache/published`. Losing it
/// costs requests.
#[derive(Debug, Clone)]
pub struct ConfigCache(Option<State>);

impl ConfigCache {
    /// The cache of a workspace.
    #[must_use]
    pub const fn of(state: State) -> Self {
        Self(Some(state))
    }

    /// A cache that remembers nothing.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// The config of a manifest, as far as it was kept; none when it is not remembered, or not readable any more.
    #[must_use]
    pub fn get(&self, manifest: &Digest) -> Option<ImageConfig> {
        let bytes = self.0.as_ref()?.read(file(manifest)).ok()??;
        ImageConfig::parse(&bytes).ok()
    }

    /// Remembers the config of a manifest, but for its history and the names of its layers. In a workspace that cannot
    /// be written it does not, and what is only read goes on.
    pub fn put(&self, manifest: &Digest, config: &ImageConfig) {
        if let Some(Err(error)) = self.0.as_ref().map(|state| write(state, manifest, config)) {
            tracing::debug!(%error, "not remembered");
        }
    }
}

fn write(state: &State, manifest: &Digest, config: &ImageConfig) -> Result<(), Error> {
    state.make()?;
    let runtime = Value::Object(config.runtime().cloned().unwrap_or_default());
    let kept = Value::Object(Map::from_iter([("config".to_owned(), runtime)]));
    fs::write_cached(&state.path(file(manifest)), kept.to_string().as_bytes())
}

fn file(manifest: &Digest) -> PathBuf {
    PathBuf::from("cache/published").join(format!("{}-{}.json", manifest.algorithm(), manifest.hex()))
}
