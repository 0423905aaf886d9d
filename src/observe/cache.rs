//! What a manifest's config says, remembered by the manifest's digest: content with a digest never changes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::reference::Digest;
use crate::workspace::state::{Error, State};

/// The labels of images by the digest of their manifest, under `.golden/cache/labels`. Losing it costs requests.
#[derive(Debug, Clone)]
pub struct LabelCache(Option<State>);

impl LabelCache {
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

    /// The labels of a manifest; none when it is not remembered, or not readable any more.
    #[must_use]
    pub fn get(&self, manifest: &Digest) -> Option<BTreeMap<String, String>> {
        let bytes = self.0.as_ref()?.read(file(manifest)).ok()??;
        serde_json::from_slice(&bytes).ok()
    }

    /// Remembers the labels of a manifest.
    pub fn put(&self, manifest: &Digest, labels: &BTreeMap<String, String>) -> Result<(), Error> {
        let Some(state) = &self.0 else { return Ok(()) };
        // Text to text is always JSON.
        let bytes = serde_json::to_vec(labels).unwrap_or_default();
        state.write(file(manifest), &bytes)
    }
}

fn file(manifest: &Digest) -> PathBuf {
    PathBuf::from("cache/labels").join(format!("{}-{}.json", manifest.algorithm(), manifest.hex()))
}
