//! Inspects, tags, removes, loads and exports images of an engine.

use bollard::query_parameters::{ImportImageOptions, RemoveImageOptions, TagImageOptionsBuilder};
use futures_util::TryStreamExt as _;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio_util::io::{ReaderStream, StreamReader};

use super::super::Error;
use super::{Docker, LocalImage, failure};
use crate::oci::ImageConfig;
use crate::reference::{Digest, Reference, Tag};

impl Docker {
    /// The image with this reference, if the engine has it. Fails if the engine cannot be reached
    /// or its answer is invalid.
    pub async fn image(&self, reference: &Reference) -> Result<Option<LocalImage>, Error> {
        self.inspect(&reference.to_string()).await
    }

    /// The image with this ID, if the engine has it. Fails as [`Docker::image`] does.
    pub async fn image_by_id(&self, id: &Digest) -> Result<Option<LocalImage>, Error> {
        self.inspect(id.as_str()).await
    }

    async fn inspect(&self, name: &str) -> Result<Option<LocalImage>, Error> {
        match self
            .transport
            .get_json(&format!("/images/{name}/json"))
            .await
        {
            Ok(inspected) => local_image(inspected)
                .map(Some)
                .map_err(|message| Error::Request {
                    what: format!("describe the image {name}"),
                    message,
                }),
            Err(error) if failure::is_not_found(&error) => Ok(None),
            Err(error) => Err(self.failed(&format!("inspect the image {name}"), error)),
        }
    }

    /// Adds a tag to an image in this engine. Fails if the image does not exist.
    pub async fn tag(&self, id: &Digest, reference: &Reference) -> Result<(), Error> {
        let tag = reference
            .tag
            .as_ref()
            .map_or_else(|| Tag::latest().to_string(), Tag::to_string);
        let options = TagImageOptionsBuilder::new()
            .repo(&reference.repository.to_string())
            .tag(&tag)
            .build();
        self.api
            .tag_image(id.as_str(), Some(options))
            .await
            .map_err(|error| match self.connection_error(error) {
                Ok(error) => error,
                Err(error) => Error::Tag {
                    id: id.short(),
                    reference: reference.to_string(),
                    message: failure::message(&error),
                },
            })
    }

    /// Removes a tag from an image in this engine. The engine deletes the image together with its
    /// last tag. A missing tag is not an error.
    pub async fn remove(&self, reference: &Reference) -> Result<(), Error> {
        let name = reference.to_string();
        match self
            .api
            .remove_image(&name, None::<RemoveImageOptions>, None)
            .await
        {
            Ok(_) => Ok(()),
            Err(error) if failure::is_not_found(&error) => Ok(()),
            Err(error) => Err(self.failed(&format!("remove the image {name}"), error)),
        }
    }

    /// Loads a docker archive, or an OCI layout if the engine supports it, from a tar stream.
    /// Returns the names that the engine loaded, or the ID of an image without a name. Fails if the
    /// engine refuses the archive.
    pub async fn load(
        &self,
        archive: impl tokio::io::AsyncRead + Send + 'static,
    ) -> Result<Vec<String>, Error> {
        let body = bollard::body_try_stream(ReaderStream::new(archive));
        let options = ImportImageOptions {
            quiet: true,
            ..Default::default()
        };
        let failed = |error| self.failed("load the image", error);
        let mut messages = Box::pin(failure::messages(
            self.api.import_image(options, body, None),
        ));
        let mut loaded = Vec::new();
        while let Some(info) = messages.try_next().await.map_err(failed)? {
            let text = info.stream.unwrap_or_default();
            let names = text
                .lines()
                .filter_map(|line| line.strip_prefix("Loaded image"));
            loaded
                .extend(names.filter_map(|rest| Some(rest.split_once(": ")?.1.trim().to_owned())));
        }
        Ok(loaded)
    }

    /// Exports an image as a docker archive, in a tar stream.
    pub(in crate::engine) fn save(
        &self,
        id: &Digest,
    ) -> impl tokio::io::AsyncRead + Send + Unpin + use<> {
        let archive = self.api.export_image(id.as_str());
        Box::pin(StreamReader::new(archive.map_err(std::io::Error::other)))
    }
}

/// The part of the engine's answer about an image that golden needs. The containerd store omits
/// everything but the ID if it cannot read the content.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct EngineImage {
    id: String,
    repo_digests: Option<Vec<String>>,
    architecture: Option<String>,
    os: Option<String>,
    variant: Option<String>,
    os_version: Option<String>,
    author: Option<String>,
    created: Option<String>,
    config: Option<Map<String, Value>>,
    #[serde(rename = "RootFS")]
    root_fs: Option<RootFs>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RootFs {
    layers: Option<Vec<String>>,
}

/// Converts the engine's answer to an image. The error is a sentence for the user.
fn local_image(inspected: EngineImage) -> Result<LocalImage, String> {
    let id: Digest = inspected
        .id
        .parse()
        .map_err(|error| format!("its ID `{}` is invalid: {error}", inspected.id))?;
    let digests = inspected.repo_digests.iter().flatten();
    let repo_digests = digests.filter_map(|digest| digest.parse().ok()).collect();
    let config = image_config(inspected).map_err(|error| error.to_string())?;
    Ok(LocalImage {
        id,
        platform: config.platform(),
        config,
        repo_digests,
    })
}

/// Rebuilds the image config from the engine's answer. It has no history, because the API does not
/// report the history exactly.
fn image_config(inspected: EngineImage) -> Result<ImageConfig, Box<dyn std::error::Error>> {
    let mut object = Map::new();
    let texts = [
        ("architecture", inspected.architecture),
        ("os", inspected.os),
        ("variant", inspected.variant),
        ("os.version", inspected.os_version),
        ("author", inspected.author),
        ("created", inspected.created),
    ];
    for (key, value) in texts {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            object.insert(key.to_owned(), Value::String(value));
        }
    }
    if let Some(mut runtime) = inspected.config {
        for key in ["ExposedPorts", "Volumes"] {
            if runtime
                .get(key)
                .is_some_and(|set| set.is_null() || set.as_object().is_some_and(Map::is_empty))
            {
                runtime.remove(key);
            }
        }
        object.insert("config".to_owned(), Value::Object(runtime));
    }
    if let Some(layers) = inspected.root_fs.and_then(|root| root.layers) {
        object.insert(
            "rootfs".to_owned(),
            serde_json::json!({"type": "layers", "diff_ids": layers}),
        );
    }
    Ok(ImageConfig::parse(&serde_json::to_vec(&object)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_is_rebuilt_from_the_engines_answer() {
        let id = Digest::of(b"config");
        let inspected: EngineImage = serde_json::from_value(serde_json::json!({
            "Id": id, "RepoDigests": [format!("localhost:5000/a@{id}"), "<none>@<none>"],
            "Architecture": "arm64", "Variant": "v8", "Os": "linux", "Created": "1970-01-01T00:00:00Z",
            "Config": {"User": "1000", "Env": ["PATH=/bin", "A="], "Labels": {"a": "b"}, "ExposedPorts": {"80/tcp": {}}},
            "RootFS": {"Type": "layers", "Layers": [id]},
        }))
        .unwrap();
        let image = local_image(inspected).unwrap();
        assert_eq!(image.platform.to_string(), "linux/arm64");
        assert_eq!(image.repo_digests.len(), 1);
        assert_eq!(
            (image.config.user(), image.config.label("a")),
            ("1000", Some("b"))
        );
        assert_eq!(image.config.env(), ["PATH=/bin", "A="]);
        let runtime = image.config.runtime().unwrap();
        assert!(
            runtime["ExposedPorts"].get("80/tcp").is_some() && !runtime.contains_key("Volumes")
        );
    }

    #[test]
    fn an_answer_with_only_the_id_is_accepted() {
        let id = Digest::of(b"index");
        for answer in [
            serde_json::json!({ "Id": id, "RootFS": {}, "Created": "", "GraphDriver": null, "Size": 1.5 }),
            serde_json::json!({ "Id": id, "RootFS": null, "Config": null, "RepoDigests": null }),
            serde_json::json!({ "Id": id }),
        ] {
            let image = local_image(serde_json::from_value(answer).unwrap()).unwrap();
            assert_eq!((image.id, image.config.runtime()), (id.clone(), None));
        }
        let nameless = serde_json::from_value(serde_json::json!({})).unwrap();
        assert!(
            local_image(nameless)
                .unwrap_err()
                .contains("its ID `` is invalid")
        );
    }
}
