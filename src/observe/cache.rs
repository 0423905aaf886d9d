//! Caches manifests, and the configs below them, by digest. Content with a digest never changes.

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::Error;
use crate::image::first_config;
use crate::oci::{ImageConfig, RawManifest};
use crate::reference::Digest;
use crate::registry::{self, Repo};
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

    /// The manifest with a digest, from the cache if possible: then the registry may have lost it.
    /// Returns `None` if neither of them has it.
    pub async fn manifest(
        &self,
        repo: &Repo,
        digest: &Digest,
    ) -> Result<Option<RawManifest>, registry::Error> {
        let cached = self.0.read(manifest_file(digest));
        if let Some(raw) = cached.and_then(|bytes| RawManifest::of_cached(&bytes, digest)) {
            return Ok(Some(raw));
        }
        let found = repo.manifest(digest).await?;
        if let Some(raw) = &found {
            self.put_manifest(raw);
        }
        Ok(found)
    }

    /// Stores a manifest that contains its media type. Does nothing if the user's cache is not
    /// writable.
    pub fn put_manifest(&self, raw: &RawManifest) {
        if let Some(cached) = raw.to_cached() {
            self.0.write(manifest_file(&raw.digest), &cached);
        }
    }

    /// Reads the config below a manifest, from the cache if possible, and caches it. A wrong media
    /// type of a manifest leads to another config, so it is cached only if the manifest contains its
    /// media type. Fails if the manifest or the config is invalid or cannot be read.
    pub async fn config(&self, repo: &Repo, raw: &RawManifest) -> Result<ImageConfig, Error> {
        if let Some(config) = self.get(&raw.digest) {
            return Ok(config);
        }
        let config = first_config(repo, raw).await?.unwrap_or_default();
        if raw.contains_its_media_type() {
            self.put(&raw.digest, &config);
        }
        Ok(config)
    }
}

fn manifest_file(digest: &Digest) -> PathBuf {
    PathBuf::from("manifests").join(format!("{}-{}", digest.algorithm(), digest.hex()))
}

fn file(manifest: &Digest) -> PathBuf {
    PathBuf::from("published").join(format!("{}-{}.json", manifest.algorithm(), manifest.hex()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cached_manifest_counts_only_with_its_digest_and_its_media_type() {
        let directory = tempfile::tempdir().unwrap();
        let cache = ConfigCache(UserCache::at(directory.path().join("cache")));
        let text = r#"{"mediaType":"application/x"}"#;
        let raw = RawManifest::new("application/x", text.as_bytes().to_vec());
        cache.put_manifest(&raw);
        let bytes = cache.0.read(manifest_file(&raw.digest)).unwrap();
        let read = |cached: &[u8]| RawManifest::of_cached(cached, &raw.digest);
        assert_eq!(read(&bytes), Some(raw.clone()));
        assert_eq!(read(&bytes[..bytes.len() - 1]), None);
        assert_eq!(read(b""), None);
        assert_eq!(read(format!("application/y\n{text}").as_bytes()), None);
        for (media_type, text) in [("application/y", text), ("application/x", "{}")] {
            let mistyped = RawManifest::new(media_type, text.as_bytes().to_vec());
            assert_eq!(mistyped.to_cached(), None);
        }
    }
}
