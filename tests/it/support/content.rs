//! The content of a test's registry: `golden serve` over a directory of each repository, so that
//! repositories share no blobs. The files can be read and changed without a request.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use golden::oci::layout::REF_NAME;
use golden::reference::Digest;
use golden::serve::{ServeRules, Service, Store};
use golden::workspace::fs;
use serde_json::{Value, json};

/// The repositories, which are removed on drop.
pub(crate) struct Content {
    root: tempfile::TempDir,
    services: Mutex<BTreeMap<String, Service>>,
}

impl Content {
    pub(crate) fn new() -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
            services: Mutex::default(),
        }
    }

    /// The registry that has only this repository.
    pub(crate) fn service(&self, repository: &str) -> Service {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        let service = services.entry(repository.to_owned()).or_insert_with(|| {
            let store = Store::open(&self.directory(repository)).unwrap();
            Service::new(store, ServeRules::default())
        });
        service.clone()
    }

    fn directory(&self, repository: &str) -> PathBuf {
        self.root.path().join(repository.replace('/', "+"))
    }

    fn blob_path(&self, repository: &str, digest: &str) -> PathBuf {
        let blobs = self.directory(repository).join("blobs");
        blobs.join(digest.replacen(':', "/", 1))
    }

    /// Adds a blob; returns its descriptor.
    pub(crate) fn blob(&self, repository: &str, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        fs::write_cached(&self.blob_path(repository, digest.as_str()), bytes).unwrap();
        json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
    }

    /// Adds a manifest unchanged; returns its digest.
    pub(crate) fn manifest(
        &self,
        repository: &str,
        media_type: &str,
        bytes: &[u8],
        tags: &[&str],
    ) -> String {
        let descriptor = self.blob(repository, media_type, bytes);
        self.point(repository, &descriptor, tags);
        descriptor["digest"].as_str().unwrap().to_owned()
    }

    /// Removes a blob from the disk, as a registry that lost it.
    pub(crate) fn lose(&self, repository: &str, digest: &str) {
        std::fs::remove_file(self.blob_path(repository, digest)).unwrap();
    }

    /// Points tags to a manifest.
    pub(crate) fn tag(&self, repository: &str, tag: &str, digest: &str) {
        let (media_type, bytes) = self.found(repository, digest);
        self.manifest(repository, &media_type, &bytes, &[tag]);
    }

    /// Changes `index.json` as another program does. A manifest that loses its last tag stays.
    fn point(&self, repository: &str, descriptor: &Value, tags: &[&str]) {
        // Creates the directory.
        drop(self.service(repository));
        let directory = std::fs::File::open(self.directory(repository)).unwrap();
        directory.lock().unwrap();
        let names: Vec<String> = tags
            .iter()
            .map(|tag| format!("{repository}:{tag}"))
            .collect();
        let mut lines = self.lines(repository);
        for line in &mut lines {
            if names
                .iter()
                .any(|name| *name == line["annotations"][REF_NAME])
            {
                let untagged = format!("{repository}@{}", line["digest"].as_str().unwrap());
                line["annotations"][REF_NAME] = untagged.into();
            }
        }
        let untagged = format!("{repository}@{}", descriptor["digest"].as_str().unwrap());
        for name in names.into_iter().chain([untagged]) {
            let mut line = descriptor.clone();
            line["annotations"] = json!({ REF_NAME: name });
            lines.push(line);
        }
        let index = json!({ "schemaVersion": 2, "manifests": lines });
        let path = self.directory(repository).join("index.json");
        fs::write_cached(&path, index.to_string().as_bytes()).unwrap();
    }

    /// The entries of `index.json`.
    fn lines(&self, repository: &str) -> Vec<Value> {
        let path = self.directory(repository).join("index.json");
        let bytes = fs::read_if_exists(&path).unwrap();
        let mut index: Value =
            bytes.map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).unwrap());
        serde_json::from_value(index["manifests"].take()).unwrap_or_default()
    }

    /// The media type and the bytes of a manifest.
    pub(crate) fn found(&self, repository: &str, digest: &str) -> (String, Vec<u8>) {
        let lines = self.lines(repository);
        let line = lines.iter().find(|line| line["digest"] == digest).unwrap();
        let bytes = std::fs::read(self.blob_path(repository, digest)).unwrap();
        (line["mediaType"].as_str().unwrap().to_owned(), bytes)
    }

    /// The tags with their digests.
    pub(crate) fn tags(&self, repository: &str) -> BTreeMap<String, String> {
        let lines = self.lines(repository);
        let tags = lines.iter().filter_map(|line| {
            let name = line["annotations"][REF_NAME].as_str()?;
            let tag = name.strip_prefix(repository)?.strip_prefix(':')?;
            Some((tag.to_owned(), line["digest"].as_str()?.to_owned()))
        });
        tags.collect()
    }

    /// The digests of the manifests.
    pub(crate) fn manifests(&self, repository: &str) -> BTreeSet<String> {
        let lines = self.lines(repository);
        let digests = lines.iter().filter_map(|line| line["digest"].as_str());
        digests.map(str::to_owned).collect()
    }

    /// The names of the repositories with manifests.
    pub(crate) fn repositories(&self) -> Vec<String> {
        let services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        let names = services.keys().filter(|name| !self.lines(name).is_empty());
        names.cloned().collect()
    }

    /// Copies a blob from another repository; returns true if that repository has it.
    pub(crate) fn mount(&self, from: &str, repository: &str, digest: &str) -> bool {
        drop(self.service(repository));
        let (source, target) = (
            self.blob_path(from, digest),
            self.blob_path(repository, digest),
        );
        source.is_file() && (target.is_file() || std::fs::copy(source, target).is_ok())
    }

    /// The number of uploads that were started and neither completed nor cancelled.
    pub(crate) fn open_uploads(&self) -> usize {
        let services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        let uploads = services.keys().map(|name| {
            let directory = self.directory(name).join(".uploads");
            std::fs::read_dir(directory).unwrap().count()
        });
        uploads.sum()
    }
}
