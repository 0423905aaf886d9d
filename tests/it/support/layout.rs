//! OCI layouts written by hand as bases, valid or broken.

use std::io::Write as _;
use std::path::Path;

use golden::oci::{Descriptor, media};
use golden::reference::Digest;
use serde_json::{Value, json};

/// A builder for an image of a layout.
pub(crate) struct Base {
    config: Value,
    config_type: &'static str,
    manifest_type: &'static str,
    layers: Vec<(Descriptor, Vec<u8>)>,
    diff_ids: Vec<Digest>,
    /// A replacement for `rootfs`, together with a null for the layers.
    rootfs: Option<Value>,
}

/// A tar of entries: path, kind (`f`, `d`, `l` for hard links, `s` for symbolic links, or any type
/// of the format), and content or target. Nothing is validated, so broken archives can be made.
pub(crate) fn tar(entries: &[(&str, char, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, kind, text) in entries {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_mode(if matches!(kind, 'd') { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        let file = *kind == 'f';
        header.set_size(if file { text.len() as u64 } else { 0 });
        if !file {
            header.as_mut_bytes()[157..157 + text.len()].copy_from_slice(text.as_bytes());
        }
        header.set_entry_type(match kind {
            'f' => tar::EntryType::Regular,
            'd' => tar::EntryType::Directory,
            'l' => tar::EntryType::Link,
            's' => tar::EntryType::Symlink,
            other => tar::EntryType::new(u8::try_from(*other).unwrap()),
        });
        header.set_cksum();
        builder
            .append(&header, if file { text.as_bytes() } else { b"" })
            .unwrap();
    }
    builder.into_inner().unwrap()
}

/// Bytes compressed with gzip.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

impl Base {
    /// A base without layers in OCI format, for a platform such as `linux/amd64` or `linux/arm/v7`.
    pub(crate) fn new(platform: &str) -> Self {
        let mut parts = platform.split('/');
        let (os, architecture) = (parts.next().unwrap(), parts.next().unwrap());
        let mut config =
            json!({ "architecture": architecture, "os": os, "config": { "Env": ["PATH=/bin"] } });
        if let Some(variant) = parts.next() {
            config["variant"] = variant.into();
        }
        Self {
            config,
            config_type: media::OCI_CONFIG,
            manifest_type: media::OCI_MANIFEST,
            layers: Vec::new(),
            diff_ids: Vec::new(),
            rootfs: None,
        }
    }

    /// A base for the platform of the test machine.
    pub(crate) fn here() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self::new(&format!("linux/{architecture}"))
    }

    /// Uses Docker's schema 2 instead of OCI.
    pub(crate) fn docker(mut self) -> Self {
        (self.config_type, self.manifest_type) = (media::DOCKER_CONFIG, media::DOCKER_MANIFEST);
        self
    }

    /// Sets a value of the runtime part of the config.
    pub(crate) fn runtime(mut self, key: &str, value: Value) -> Self {
        self.config["config"][key] = value;
        self
    }

    /// Adds a layer from its bytes, with the given diff ID for the config.
    pub(crate) fn layer_as(mut self, media_type: &str, bytes: Vec<u8>, diff_id: Digest) -> Self {
        self.layers
            .push((Descriptor::of(media_type, &bytes), bytes));
        self.diff_ids.push(diff_id);
        self
    }

    /// Adds a gzip layer of entries.
    pub(crate) fn layer(self, entries: &[(&str, char, &str)]) -> Self {
        let plain = tar(entries);
        let media_type = if self.config_type == media::DOCKER_CONFIG {
            media::DOCKER_LAYER_GZIP
        } else {
            media::OCI_LAYER_GZIP
        };
        self.layer_as(media_type, gzip(&plain), Digest::of(&plain))
    }

    /// Adds a zstd layer of entries.
    pub(crate) fn zstd_layer(self, entries: &[(&str, char, &str)]) -> Self {
        let plain = tar(entries);
        let packed = zstd::encode_all(plain.as_slice(), 3).unwrap();
        self.layer_as(media::OCI_LAYER_ZSTD, packed, Digest::of(&plain))
    }

    /// Removes the list of layers: null in the manifest, and this `rootfs` in the config.
    pub(crate) fn without_lists(mut self, rootfs: Value) -> Self {
        self.rootfs = Some(rootfs);
        self
    }

    /// Makes the last layer a foreign layer.
    pub(crate) fn foreign(mut self) -> Self {
        let (layer, _) = self.layers.last_mut().unwrap();
        layer.urls.push("https://example.com/layer".to_owned());
        self
    }

    /// Writes the blobs of the image into a layout; returns the descriptor of its manifest.
    pub(crate) fn blobs(&self, directory: &Path) -> Descriptor {
        let mut config = self.config.clone();
        config["rootfs"] = self
            .rootfs
            .clone()
            .unwrap_or_else(|| json!({ "type": "layers", "diff_ids": self.diff_ids }));
        let config = serde_json::to_vec(&config).unwrap();
        let layers: Vec<&Descriptor> = self.layers.iter().map(|(layer, _)| layer).collect();
        let layers = if self.rootfs.is_some() {
            Value::Null
        } else {
            json!(layers)
        };
        let manifest = serde_json::to_vec(&json!({
            "schemaVersion": 2,
            "mediaType": self.manifest_type,
            "config": Descriptor::of(self.config_type, &config),
            "layers": layers,
        }))
        .unwrap();
        for (_, bytes) in &self.layers {
            blob(directory, bytes);
        }
        blob(directory, &config);
        blob(directory, &manifest);
        let mut descriptor = Descriptor::of(self.manifest_type, &manifest);
        let platform = golden::oci::ImageConfig::parse(&config).unwrap().platform();
        descriptor.platform = Some((&platform).into());
        descriptor
    }

    /// Writes a layout with only this image, under a name; returns the digest of its manifest.
    pub(crate) fn write(&self, directory: &Path, name: &str) -> Digest {
        let descriptor = self.blobs(directory);
        index(directory, &[(&descriptor, Some(name))]);
        descriptor.digest
    }
}

/// Writes an index of images as a blob; returns its descriptor.
pub(crate) fn index_of(directory: &Path, images: &[&Base]) -> Descriptor {
    write_index(
        directory,
        &images
            .iter()
            .map(|image| image.blobs(directory))
            .collect::<Vec<_>>(),
    )
}

/// The same, with explicit platforms for the images.
pub(crate) fn index_naming(directory: &Path, images: &[(&str, &Base)]) -> Descriptor {
    let named = |(platform, image): &(&str, &Base)| {
        let platform: golden::platform::Platform = platform.parse().unwrap();
        Descriptor {
            platform: Some((&platform).into()),
            ..image.blobs(directory)
        }
    };
    write_index(directory, &images.iter().map(named).collect::<Vec<_>>())
}

fn write_index(directory: &Path, manifests: &[Descriptor]) -> Descriptor {
    let index =
        json!({ "schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": manifests });
    let index = serde_json::to_vec(&index).unwrap();
    blob(directory, &index);
    Descriptor::of(media::OCI_INDEX, &index)
}

/// Writes `index.json` and `oci-layout`.
pub(crate) fn index(directory: &Path, images: &[(&Descriptor, Option<&str>)]) {
    let line = |(descriptor, name): &(&Descriptor, Option<&str>)| {
        let mut line = (*descriptor).clone();
        let name = name.map(|name| (golden::oci::layout::REF_NAME.to_owned(), name.to_owned()));
        line.annotations.extend(name);
        line
    };
    let manifests: Vec<Descriptor> = images.iter().map(line).collect();
    let index = json!({ "schemaVersion": 2, "manifests": manifests });
    write(&directory.join("index.json"), index.to_string().as_bytes());
    write(
        &directory.join("oci-layout"),
        br#"{"imageLayoutVersion":"1.0.0"}"#,
    );
}

/// The path of a blob.
pub(crate) fn blob_path(directory: &Path, digest: &Digest) -> std::path::PathBuf {
    directory.join("blobs/sha256").join(digest.hex())
}

fn blob(directory: &Path, bytes: &[u8]) {
    write(&blob_path(directory, &Digest::of(bytes)), bytes);
}

#[expect(clippy::disallowed_methods, reason = "the test owns this file")]
fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}
