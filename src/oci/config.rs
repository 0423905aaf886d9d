//! The image config. It is lossless: keys that golden does not know are kept. It is written with
//! one canonical key order, so that equal configs always have the same digest.

mod edit;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::platform::Platform;
use crate::reference::Digest;

pub use edit::{Healthcheck, HistoryEntry};

/// The reason why bytes are not an image config.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes are not JSON.
    #[error("the image config cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// The JSON value is not an object.
    #[error("the image config is not a JSON object")]
    NotAnObject,
}

/// An image config (OCI image spec, config.md). Docker's config has the same structure with
/// additional keys.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageConfig(Map<String, Value>);

impl ImageConfig {
    /// Parses a config. Fails if the bytes are not a JSON object.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        match serde_json::from_slice(bytes)? {
            Value::Object(map) => Ok(Self(map)),
            _ => Err(Error::NotAnObject),
        }
    }

    /// The platform in the config. Missing parts default to `linux` and `amd64`, as in Docker.
    #[must_use]
    pub fn platform(&self) -> Platform {
        let text = |key: &str| {
            self.0
                .get(key)
                .and_then(Value::as_str)
                .filter(|t| !t.is_empty())
        };
        Platform::new(
            text("os").unwrap_or("linux"),
            text("architecture").unwrap_or("amd64"),
            text("variant"),
        )
    }

    /// The runtime part, the object `config`.
    #[must_use]
    pub fn runtime(&self) -> Option<&Map<String, Value>> {
        self.0.get("config").and_then(Value::as_object)
    }

    /// The value of a label, if it is set.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        self.runtime()?.get("Labels")?.get(key)?.as_str()
    }

    /// All labels, sorted by key.
    #[must_use]
    pub fn labels(&self) -> std::collections::BTreeMap<String, String> {
        let labels = self
            .runtime()
            .and_then(|runtime| runtime.get("Labels"))
            .and_then(Value::as_object);
        let pairs = labels.into_iter().flatten();
        pairs
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect()
    }

    /// A config with only the runtime part, without its labels.
    #[must_use]
    pub fn without_labels(&self) -> Self {
        let runtime = self.runtime().map(|runtime| {
            let others = runtime.iter().filter(|(key, _)| *key != "Labels");
            Value::Object(
                others
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .collect(),
            )
        });
        Self(
            runtime
                .map(|runtime| ("config".to_owned(), runtime))
                .into_iter()
                .collect(),
        )
    }

    /// The environment in its order, as `KEY=VALUE`.
    #[must_use]
    pub fn env(&self) -> Vec<String> {
        let env = self
            .runtime()
            .and_then(|runtime| runtime.get("Env"))
            .and_then(Value::as_array);
        env.into_iter()
            .flatten()
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect()
    }

    /// The user; empty if it is not set.
    #[must_use]
    pub fn user(&self) -> &str {
        self.runtime()
            .and_then(|runtime| runtime.get("User"))
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// The digests of the uncompressed layers, bottom first. None if they cannot be parsed. Docker
    /// omits the list for an image without layers.
    #[must_use]
    pub fn diff_ids(&self) -> Option<Vec<Digest>> {
        match self
            .0
            .get("rootfs")
            .and_then(|rootfs| rootfs.get("diff_ids"))
        {
            None | Some(Value::Null) => Some(Vec::new()),
            Some(ids) => ids
                .as_array()?
                .iter()
                .map(|id| id.as_str()?.parse().ok())
                .collect(),
        }
    }

    /// A list of strings in the runtime part, such as `Cmd`; empty if it is not set.
    #[must_use]
    pub fn words(&self, key: &str) -> Vec<String> {
        let list = self
            .runtime()
            .and_then(|runtime| runtime.get(key))
            .and_then(Value::as_array);
        list.into_iter()
            .flatten()
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect()
    }

    /// A string in the runtime part, such as `WorkingDir`; empty if it is not set.
    #[must_use]
    pub fn text(&self, key: &str) -> &str {
        self.runtime()
            .and_then(|runtime| runtime.get(key))
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// The whole JSON object.
    #[must_use]
    pub const fn as_object(&self) -> &Map<String, Value> {
        &self.0
    }
}
