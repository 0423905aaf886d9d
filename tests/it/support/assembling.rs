//! The embedded engine without the command line, with images written by hand, and Docker to read
//! the result.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use golden::assemble::Assembled;
use golden::engine::{BuildOptions, BuildOutput, Embedded, embedded};
use golden::event::Events;
use golden::image::Blobs;
use golden::oci::Content;
use golden::reference::{Digest, Reference};
use golden::registry::{Registries, RegistryEnv};
use golden::render::{PinnedBase, Recipe, Rendered};
use golden::resolve::ResolvedImage;
use golden::resolve::image::{
    Base, Certificate, Config, Family, FamilySource, FileEntry, FileKind, FileOwner, Packages,
    Provenance, SpecLocations,
};
use golden::store::{LocalDestination, NamedImage};

use super::services;

/// An empty image on scratch.
pub(crate) fn image(name: &str) -> ResolvedImage {
    ResolvedImage {
        name: name.parse().unwrap(),
        source: "image.toml".into(),
        row: BTreeMap::new(),
        version: "1.0.0".parse().unwrap(),
        variant: None,
        description: None,
        base: Base::Scratch,
        family: Family::Static,
        family_source: FamilySource::Spec,
        template: "static".to_owned(),
        template_written: false,
        platforms: Vec::new(),
        labels: BTreeMap::new(),
        suppressed_labels: std::collections::BTreeSet::new(),
        env: Vec::new(),
        config: Config::default(),
        certificates: Vec::new(),
        trust: golden::resolve::image::TrustOptions::default(),
        packages: Packages::default(),
        files: Vec::new(),
        run: Vec::new(),
        own_withdrawn: Vec::new(),
        tags: golden::tags::TagRules::default(),
        tests: Vec::new(),
        lifecycle: golden::resolve::lifecycle::LifecycleRules::default(),
        channels: std::collections::BTreeMap::new(),
        provenance: Provenance::default(),
        locations: SpecLocations::default(),
    }
}

pub(crate) fn file(path: &str, text: &str) -> FileEntry {
    let kind = FileKind::File(Content::inline(text.as_bytes().to_vec()));
    FileEntry::new(path, 0o644, FileOwner::ROOT, kind, path)
}

/// A self-signed certificate with this subject.
pub(crate) fn certificate(directory: &Path, name: &str, subject: &str) -> Certificate {
    let (key, pem) = (
        directory.join(format!("{name}.key")),
        directory.join(format!("{name}.pem")),
    );
    let output = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-utf8",
            "-multivalue-rdn",
        ])
        .args(["-days", "3650", "-subj", subject, "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&pem)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    #[expect(clippy::disallowed_methods, reason = "the test owns this file")]
    let pem = std::fs::read_to_string(pem).unwrap();
    Certificate {
        file: format!("certs/{name}.crt").into(),
        name: format!("{name}.crt"),
        pem,
        der: Vec::new(),
        not_after: 0,
        subject: subject.to_owned(),
    }
}

/// The engine, with an empty cache in `directory`.
pub(crate) fn engine(directory: &Path) -> (Embedded, Blobs) {
    let registries = Registries::new(Vec::new(), RegistryEnv::from_vars(&BTreeMap::new()));
    (
        Embedded::new(registries.clone(), directory.join("cache")),
        Blobs::new(registries),
    )
}

/// A base in the plain registry, pinned by digest.
pub(crate) async fn base(reference: &str) -> PinnedBase {
    let reference: Reference = reference.parse().unwrap();
    let registries = Registries::new(Vec::new(), RegistryEnv::from_vars(&BTreeMap::new()));
    let repo = registries.repo(&reference.repository);
    let manifest = repo.manifest(&reference.target()).await.unwrap().unwrap();
    PinnedBase::Registry {
        digest: manifest.digest,
        reference,
        platforms: std::collections::BTreeMap::default(),
    }
}

pub(crate) async fn assemble(
    engine: &Embedded,
    image: &ResolvedImage,
    base: PinnedBase,
) -> Result<Assembled, embedded::Error> {
    let rendered = Rendered {
        dockerfile: String::new(),
        context: Vec::new(),
        build_args: BTreeMap::new(),
        api_labels: BTreeMap::new(),
    };
    let inputs = Digest::of(image.name.as_str().as_bytes());
    let spec_inputs = Digest::of(b"spec");
    let templates = Arc::default();
    let recipe = Recipe {
        image: image.clone(),
        base,
        rendered,
        inputs,
        spec_inputs,
        templates,
    };
    match engine
        .build(&recipe, &BuildOptions::default(), &Events::silent())
        .await
    {
        Ok(built) => match built.output {
            BuildOutput::Assembled(assembled) => Ok(assembled),
            BuildOutput::Docker { .. } => panic!("the embedded engine made a docker image"),
        },
        Err(golden::engine::Error::Embedded(error)) => Err(error),
        Err(other) => panic!("{other}"),
    }
}

/// Writes an image and loads it into the first engine under a name.
pub(crate) async fn load(directory: &Path, image: &Assembled, name: &str, blobs: &Blobs) {
    let file = directory.join("image.tar");
    let references = vec![name.parse().unwrap()];
    LocalDestination::Archive {
        file: file.clone(),
        name: None,
    }
    .write(
        &[NamedImage { image, references }],
        blobs,
        &golden::event::Events::silent(),
    )
    .await
    .unwrap();
    docker(&["load", "-q", "-i", file.to_str().unwrap()]);
}

/// Runs the docker client against the first engine and returns its output.
pub(crate) fn docker(args: &[&str]) -> String {
    let mut command = Command::new("docker");
    command
        .args(args)
        .env("DOCKER_HOST", services::docker_host());
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "docker {args:?}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The file tree of an image in the first engine: path → type, mode, owner, and link target or
/// digest. Times are omitted.
pub(crate) fn tree(name: &str) -> BTreeMap<String, String> {
    let container = docker(&["create", name, "/none"]);
    let output = Command::new("docker")
        .args(["export", &container])
        .env("DOCKER_HOST", services::docker_host())
        .output()
        .unwrap();
    docker(&["rm", "-f", &container]);
    let mut archive = tar::Archive::new(output.stdout.as_slice());
    let mut tree = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = String::from_utf8_lossy(&entry.path_bytes())
            .trim_end_matches('/')
            .to_owned();
        let link = entry
            .link_name_bytes()
            .map(|link| String::from_utf8_lossy(&link).into_owned());
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
        let header = entry.header();
        let (kind, mode) = (
            header.entry_type().as_byte() as char,
            header.mode().unwrap() & 0o7777,
        );
        let (uid, gid) = (header.uid().unwrap(), header.gid().unwrap());
        let what = link.unwrap_or_else(|| {
            if kind == '0' {
                Digest::of(&bytes).short()
            } else {
                String::new()
            }
        });
        tree.insert(path, format!("{kind} {mode:04o} {uid}:{gid} {what}"));
    }
    tree
}

/// The differences of two trees, one per line.
pub(crate) fn differences(
    one: &BTreeMap<String, String>,
    other: &BTreeMap<String, String>,
) -> Vec<String> {
    let paths: std::collections::BTreeSet<_> = one.keys().chain(other.keys()).collect();
    let line = |path: &&String| {
        let (left, right) = (one.get(*path), other.get(*path));
        (left != right).then(|| format!("{path}: {left:?} {right:?}"))
    };
    paths.iter().filter_map(line).collect()
}
