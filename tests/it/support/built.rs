//! Images built by an engine, read back with Docker's own client instead of golden.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::process::Command;
use std::sync::Arc;

use golden::engine::docker::Builder;
use golden::engine::{BuildOptions, Docker, Embedded, fit};
use golden::reference::Reference;
use golden::registry::{Registries, RegistryEnv};
use golden::render::{PinnedBase, Recipe, Templates, fingerprint, render};
use golden::resolve::ResolvedImage;
use golden::resolve::image::Base;
use serde_json::Value;

use crate::docker::recipe::{Outcome, build};
use crate::support::services;

/// The keys of a config that golden declares, without the labels.
pub(crate) const CONFIG_KEYS: [&str; 10] = [
    "Env",
    "ExposedPorts",
    "User",
    "Entrypoint",
    "Cmd",
    "WorkingDir",
    "Volumes",
    "Healthcheck",
    "StopSignal",
    "Shell",
];

/// An image that an engine built.
pub(crate) struct Built {
    id: String,
    host: String,
}

/// A file of an image: the properties that must be equal with both builders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    /// `f` for a file, `d` for a directory, `l` for a symbolic link, `h` for a hard link.
    pub(crate) kind: char,
    /// The mode, with set-id and sticky bits.
    pub(crate) mode: u32,
    pub(crate) owner: (u64, u64),
    /// The target of a link, or the content.
    pub(crate) content: Vec<u8>,
    /// The extended attributes that the engine exports.
    pub(crate) attributes: BTreeMap<String, Vec<u8>>,
}

/// The prefix of extended attributes in an archive.
const ATTRIBUTE: &str = "SCHILY.xattr.";

/// The recipe of an image, on the local base of the engine that the image names.
pub(crate) async fn recipe(docker: &Docker, image: &ResolvedImage) -> Recipe {
    let base = match &image.base {
        Base::Scratch => PinnedBase::Scratch,
        Base::Reference(reference) => {
            let id = docker.image(reference).await.unwrap().unwrap().id;
            PinnedBase::Local {
                reference: reference.clone(),
                id,
            }
        }
        other => panic!("{other:?}"),
    };
    let rendered = render(image, &Templates::builtin()).unwrap();
    let inputs = fingerprint(image, &rendered, &base);
    let spec_inputs = golden::reference::Digest::of(b"spec");
    Recipe {
        image: image.clone(),
        base,
        rendered,
        inputs,
        spec_inputs,
        templates: Arc::default(),
    }
}

/// Builds an image with one builder, without the engine's cache.
pub(crate) async fn outcome(
    builder: Builder,
    image: &ResolvedImage,
    tags: &[Reference],
) -> Outcome {
    let docker = crate::docker::recipe::docker(builder).await;
    let recipe = recipe(&docker, image).await;
    let options = BuildOptions {
        no_cache: true,
        ..Default::default()
    };
    let cache = tempfile::tempdir().unwrap();
    let none = RegistryEnv::from_vars(&BTreeMap::new());
    let embedded = Embedded::new(Registries::new(Vec::new(), none), cache.path().to_owned());
    let (events, _told) = golden::event::Events::channel();
    let fitted = fit::for_docker(&docker, &embedded, &recipe, &options, &events).await;
    let recipe = match fitted {
        Ok(recipe) => recipe,
        Err(error) => {
            return Outcome {
                result: Err(error),
                events: Vec::new(),
            };
        }
    };
    let outcome = build(&docker, &recipe, &options).await;
    for tag in tags {
        docker.tag(outcome.built().1, tag).await.unwrap();
    }
    outcome
}

/// Builds an image, which must succeed.
pub(crate) async fn built(builder: Builder, image: &ResolvedImage) -> Built {
    let outcome = outcome(builder, image, &[]).await;
    let (_, id) = outcome.built();
    Built::named(id.as_str())
}

/// Runs Docker's client against the first engine.
pub(crate) fn client(args: &[&str]) -> Vec<u8> {
    client_of(services::docker_host(), args)
}

/// Runs Docker's client against an engine.
pub(crate) fn client_of(host: &str, args: &[&str]) -> Vec<u8> {
    let output = Command::new("docker")
        .args(["-H", host])
        .args(args)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

impl Built {
    /// An image in the first engine.
    pub(crate) fn named(id: &str) -> Self {
        Self::in_engine(services::docker_host(), id)
    }

    /// An image in an engine.
    pub(crate) fn in_engine(host: &str, id: &str) -> Self {
        Self {
            id: id.to_owned(),
            host: host.to_owned(),
        }
    }

    fn client(&self, args: &[&str]) -> Vec<u8> {
        client_of(&self.host, args)
    }

    /// The runtime part of the config.
    pub(crate) fn config(&self) -> Value {
        let text = self.client(&["image", "inspect", &self.id]);
        serde_json::from_slice::<Value>(&text).unwrap()[0]["Config"].clone()
    }

    /// The whole config, as the engine exports it.
    pub(crate) fn whole_config(&self) -> Value {
        let archive = self.client(&["save", &self.id]);
        let member = |wanted: &str| -> Value {
            let mut archive = tar::Archive::new(archive.as_slice());
            let mut entries = archive.entries().unwrap().map(Result::unwrap);
            let found = entries.find(|entry| entry.path_bytes().as_ref() == wanted.as_bytes());
            serde_json::from_reader(found.unwrap()).unwrap()
        };
        let manifest = member("manifest.json");
        member(manifest[0]["Config"].as_str().unwrap())
    }

    /// Runs a command in a container of the image and returns its output.
    pub(crate) fn run(&self, words: &[&str]) -> String {
        let head = ["run", "--rm", "--entrypoint", words[0], &self.id];
        let output = self.client(&[&head[..], &words[1..]].concat());
        String::from_utf8(output).unwrap()
    }

    /// Every file by its path, except those that the engine adds to a container.
    pub(crate) fn files(&self) -> BTreeMap<String, File> {
        let dated = self.dated_files().into_iter();
        dated.map(|(path, (file, _))| (path, file)).collect()
    }

    /// The same, with the times at which the files were modified, in seconds.
    pub(crate) fn dated_files(&self) -> BTreeMap<String, (File, u64)> {
        let container =
            String::from_utf8(self.client(&["create", "--entrypoint", "/none", &self.id])).unwrap();
        let tar = self.client(&["export", container.trim()]);
        self.client(&["rm", container.trim()]);
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(tar.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
            let path = path.trim_end_matches('/').to_owned();
            let header = entry.header();
            let (mode, owner) = (
                header.mode().unwrap() & 0o7777,
                (header.uid().unwrap(), header.gid().unwrap()),
            );
            let kind = match header.entry_type() {
                tar::EntryType::Directory => 'd',
                tar::EntryType::Symlink => 'l',
                tar::EntryType::Link => 'h',
                _ => 'f',
            };
            let time = header.mtime().unwrap();
            let extensions = entry.pax_extensions().unwrap().into_iter().flatten();
            let attributes = extensions
                .map(Result::unwrap)
                .filter_map(|extension| {
                    let name = extension.key().unwrap().strip_prefix(ATTRIBUTE)?;
                    Some((name.to_owned(), extension.value_bytes().to_vec()))
                })
                .collect();
            let mut content = entry
                .link_name_bytes()
                .map(std::borrow::Cow::into_owned)
                .unwrap_or_default();
            entry.read_to_end(&mut content).unwrap();
            if !from_the_engine(&path) {
                let file = File {
                    kind,
                    mode,
                    owner,
                    content,
                    attributes,
                };
                files.insert(path, (file, time));
            }
        }
        files
    }
}

/// True if the engine adds the file to every container, with any image.
fn from_the_engine(path: &str) -> bool {
    let files = [
        ".dockerenv",
        "etc/hostname",
        "etc/hosts",
        "etc/resolv.conf",
        "etc/mtab",
        "dev",
        "proc",
        "sys",
    ];
    files.contains(&path)
        || ["dev/", "proc/", "sys/"]
            .iter()
            .any(|directory| path.starts_with(directory))
}
