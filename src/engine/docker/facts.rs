//! Reads the facts about a Docker Engine: its version, builder and image store.

use serde::Deserialize;

use super::super::{EngineFacts, Error};
use super::version::EngineVersion;
use super::{Builder, Docker};

/// The name of the image store that can hold several platforms of an image.
pub(super) const CONTAINERD: &str = "containerd";

/// The part of the answer to `GET /info` that golden needs.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct EngineInfo {
    driver: Option<String>,
    driver_status: Option<Vec<Vec<String>>>,
}

impl EngineInfo {
    /// The image store.
    fn store(self) -> Option<String> {
        let is_containerd = self
            .driver_status
            .iter()
            .flatten()
            .flatten()
            .any(|text| text.starts_with("io.containerd.snapshotter"));
        if is_containerd {
            Some(CONTAINERD.to_owned())
        } else {
            self.driver
        }
    }
}

impl Docker {
    /// The facts about the engine. Fails if it no longer answers.
    pub async fn facts(&self) -> Result<EngineFacts, Error> {
        let version: EngineVersion = self
            .transport
            .get_json("/version")
            .await
            .map_err(|error| self.failed("report its version", error))?;
        let info: EngineInfo = self
            .transport
            .get_json("/info")
            .await
            .map_err(|error| self.failed("report its settings", error))?;
        Ok(EngineFacts {
            address: self.address(),
            source: Some(self.transport.endpoint.source.clone()),
            program: if version.is_podman() {
                "Podman"
            } else {
                "Docker"
            },
            version: version.version,
            api: self.transport.version.get().cloned(),
            builder: match self.builder {
                Builder::BuildKit => "BuildKit",
                Builder::Podman => "Buildah",
                Builder::Classic => "classic builder",
            },
            store: info.store(),
            platform: self.platform.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_store_is_read_from_the_answer_to_info() {
        for (json, store) in [
            (
                r#"{"Driver":"overlay2","DriverStatus":[["Backing Filesystem","extfs"]]}"#,
                Some("overlay2"),
            ),
            (
                r#"{"Driver":"overlayfs","DriverStatus":[["driver-type","io.containerd.snapshotter.v1"]]}"#,
                Some("containerd"),
            ),
            (r#"{"Driver":"vfs","DriverStatus":null}"#, Some("vfs")),
            ("{}", None),
        ] {
            let info: EngineInfo = serde_json::from_str(json).unwrap();
            assert_eq!(info.store().as_deref(), store, "{json}");
        }
    }
}
