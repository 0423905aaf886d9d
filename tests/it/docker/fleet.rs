//! Several engines build one image: each builds its platform, and golden makes the index.

use std::collections::BTreeMap;

use golden::assemble::{Assembled, LayerSource};
use golden::engine::docker::Builder;
use golden::engine::fleet::FleetEngine;
use golden::engine::{BuildOptions, BuildOutput, Embedded, Error, Fleet};
use golden::event::Events;
use golden::image::Blobs;
use golden::oci::{Bytes, Content, ImageConfig};
use golden::platform::Platform;
use golden::reference::{Reference, RepositoryPath, Tag, Target};
use golden::registry::{Registries, RegistryEnv};
use golden::render::{PinnedBase, Recipe};
use golden::resolve::image::{self, FileEntry, FileKind, FileOwner};

use super::recipe::{BUILDERS, docker, environment, recipe, unique};
use crate::support::layout::{self, Base};
use crate::support::services;

fn platform(text: &str) -> Platform {
    text.parse().unwrap()
}

fn registries() -> Registries {
    Registries::new(Vec::new(), RegistryEnv::from_vars(&BTreeMap::new()))
}

/// The first engine for its own platform, the second one for arm64. An engine of another
/// architecture can build images that execute nothing.
fn fleet(scratch_directory: &tempfile::TempDir, builder: Builder) -> Fleet {
    let members = vec![
        FleetEngine::docker(
            "here",
            environment(services::docker_host(), builder),
            Vec::new(),
        ),
        FleetEngine::docker(
            "there",
            environment(services::docker_second(), builder),
            vec![platform("linux/arm64")],
        ),
    ];
    let embedded = Embedded::new(registries(), scratch_directory.path().join("cache"));
    Fleet::new(members, embedded, scratch_directory.path().join("spool"))
}

/// An image for both platforms with one file. Each engine gets the Dockerfile for its base.
fn on_both(base: PinnedBase, path: &str, content: &str) -> Recipe {
    let mut recipe = recipe(base.clone(), "");
    recipe.image.platforms = vec![platform("linux/amd64"), platform("linux/arm64")];
    recipe.image.base = match base {
        PinnedBase::Registry { reference, .. } => image::Base::Reference(reference),
        PinnedBase::Layout(layout) => image::Base::Layout(layout),
        _ => image::Base::Scratch,
    };
    let kind = FileKind::File(Content::inline(content.as_bytes()));
    recipe.image.files = vec![FileEntry::new(path, 0o644, FileOwner::ROOT, kind, path)];
    recipe
}

async fn build(fleet: &Fleet, recipe: &Recipe) -> Assembled {
    let built = fleet
        .build(recipe, &BuildOptions::default(), &Events::silent())
        .await
        .unwrap();
    assert_eq!(built.platforms, recipe.image.platforms);
    match built.output {
        BuildOutput::Assembled(assembled) => assembled,
        BuildOutput::Docker { .. } => panic!("the fleet returned an image of a single engine"),
    }
}

/// Uploads an image with all its blobs to the plain registry.
async fn push(assembled: &Assembled, path: &RepositoryPath, tag: &str) {
    let registries = registries();
    let registry = registries.at(&services::registry().parse().unwrap());
    let blobs = Blobs::new(registries.clone());
    for image in &assembled.images {
        for layer in &image.layers {
            registry
                .repo(path)
                .push_blob(&layer.descriptor, &blobs.source(layer))
                .await
                .unwrap();
        }
        let golden::oci::Manifest::Image(manifest) = image.manifest.parse().unwrap() else {
            panic!("an image")
        };
        let config: Bytes = image.config.clone();
        registry
            .repo(path)
            .push_blob(&manifest.config, &config)
            .await
            .unwrap();
        let target = Target::Digest(image.manifest.digest.clone());
        registry
            .repo(path)
            .put(&target, &image.manifest)
            .await
            .unwrap();
    }
    let tag: Tag = tag.parse().unwrap();
    registry
        .repo(path)
        .put(&Target::Tag(tag), &assembled.top)
        .await
        .unwrap();
}

#[tokio::test]
async fn two_engines_build_one_index_and_a_child_is_built_on_it() {
    for builder in BUILDERS {
        let scratch_directory = tempfile::tempdir().unwrap();
        let fleet = fleet(&scratch_directory, builder);
        let mut parent = on_both(PinnedBase::Scratch, "/parent", "parent\n");
        parent.image.config.user = Some("7".to_owned());
        let assembled = build(&fleet, &parent).await;
        let platforms: Vec<String> = assembled
            .images
            .iter()
            .map(|image| image.platform.to_string())
            .collect();
        assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
        for image in &assembled.images {
            let config = ImageConfig::parse(&image.config).unwrap();
            assert_eq!(config.platform(), image.platform, "{builder:?}");
            assert_eq!(
                config.label("dev.golden.inputs"),
                Some(parent.inputs.as_str())
            );
        }

        let path: RepositoryPath = unique().parse().unwrap();
        push(&assembled, &path, "1.0.0").await;
        let reference: Reference = format!("{}/{path}:1.0.0", services::registry())
            .parse()
            .unwrap();
        let base = PinnedBase::Registry {
            reference: reference.clone(),
            digest: assembled.top.digest.clone(),
            platforms: std::collections::BTreeMap::default(),
        };
        let child = build(&fleet, &on_both(base, "/child", "child\n")).await;
        for (child, parent) in child.images.iter().zip(&assembled.images) {
            assert_eq!(child.platform, parent.platform);
            assert_eq!(
                child.layers[0].descriptor, parent.layers[0].descriptor,
                "{builder:?}"
            );
            assert!(
                matches!(&child.layers[0].source, LayerSource::Registry(from) if *from == reference.repository)
            );
            assert!(matches!(child.layers[1].source, LayerSource::File(_)));
            assert_eq!(ImageConfig::parse(&child.config).unwrap().user(), "7");
        }
        push(&child, &path, "2.0.0").await;

        // Another client and another engine can read the index.
        for architecture in ["amd64", "arm64"] {
            let output = std::process::Command::new("skopeo")
                .args([
                    "--override-arch",
                    architecture,
                    "inspect",
                    "--tls-verify=false",
                ])
                .arg(format!("docker://{}/{path}:2.0.0", services::registry()))
                .output()
                .unwrap();
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            let read: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(read["Architecture"], architecture);
            assert_eq!(read["Layers"].as_array().unwrap().len(), 2);
        }
    }
}

/// Each engine receives the image of its platform; the layers stay those of the layout.
#[tokio::test]
async fn a_base_of_a_layout_is_loaded_into_every_engine() {
    for builder in BUILDERS {
        let scratch_directory = tempfile::tempdir().unwrap();
        let directory = scratch_directory.path().join("base");
        let base_for = |platform| Base::new(platform).layer(&[("base", 'f', platform)]);
        let top = layout::index_of(
            &directory,
            &[&base_for("linux/amd64"), &base_for("linux/arm64")],
        );
        layout::index(&directory, &[(&top, Some("multi"))]);
        let base = PinnedBase::Layout(golden::resolve::image::Layout {
            written: "oci:base".to_owned(),
            name: None,
            directory: directory.canonicalize().unwrap(),
            media_type: top.media_type.clone(),
            digest: top.digest.clone(),
            pinned: false,
            platforms: std::collections::BTreeMap::default(),
        });
        let child = build(
            &fleet(&scratch_directory, builder),
            &on_both(base, "/child", "child\n"),
        )
        .await;
        for image in &child.images {
            assert_eq!(image.layers.len(), 2, "{builder:?}");
            let LayerSource::File(path) = &image.layers[0].source else {
                panic!("the layout has its layers")
            };
            assert!(
                path.starts_with(directory.canonicalize().unwrap()),
                "{builder:?}: {}",
                path.display()
            );
        }
    }
}

#[tokio::test]
async fn a_platform_without_an_engine_is_refused_before_any_build() {
    let scratch_directory = tempfile::tempdir().unwrap();
    let fleet = fleet(&scratch_directory, Builder::Classic);
    let mut recipe = on_both(PinnedBase::Scratch, "/f", "x");
    recipe.image.platforms.push(platform("linux/s390x"));
    let (events, mut receiver) = Events::channel();
    let error = fleet
        .build(&recipe, &BuildOptions::default(), &events)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "no [[engine]] builds for linux/s390x; the engines are: here, there"
    );
    assert!(matches!(error, Error::Unsupported { .. }));
    assert!(receiver.try_recv().is_err());
}

#[tokio::test]
async fn an_archive_is_loaded_as_docker_reads_it() {
    let engine = docker(Builder::Classic).await;
    let tag: Reference = format!("localhost/{}:1", unique()).parse().unwrap();
    let id = engine
        .image(&super::recipe::local_base())
        .await
        .unwrap()
        .unwrap()
        .id;
    engine.tag(&id, &tag).await.unwrap();
    let saved = std::process::Command::new("docker")
        .args(["-H", services::docker_host(), "save", &tag.to_string()])
        .output()
        .unwrap();
    engine.remove(&tag).await.unwrap();
    let second =
        golden::engine::Docker::connect(&environment(services::docker_second(), Builder::Classic))
            .await
            .unwrap();
    let loaded = second
        .load(std::io::Cursor::new(saved.stdout))
        .await
        .unwrap();
    assert_eq!(loaded, [tag.to_string()]);
    assert_eq!(second.image(&tag).await.unwrap().unwrap().id, id);
    second.remove(&tag).await.unwrap();

    let error = second
        .load(std::io::Cursor::new(b"nonsense".to_vec()))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("load the image"), "{error}");
}
