//! Recipes written by hand, so that the engine is tested without the renderer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use golden::engine::docker::Builder;
use golden::engine::{BuildOptions, BuildOutput, BuiltImage, Docker, Error};
use golden::event::{Event, Events};
use golden::oci::Content;
use golden::oci::tar::{Entry, EntryKind};
use golden::reference::{Digest, Reference};
use golden::render::{PinnedBase, Recipe, Rendered};
use golden::resolve::ResolvedImage;
use golden::resolve::image::{Base, Family, FamilySource, Packages, Provenance, SpecLocations};
use golden::tags::TagRules;

use crate::support::services;

/// The environment for an engine of the tests, with one builder.
pub(crate) fn environment(host: &str, builder: Builder) -> golden::engine::DockerEnv {
    golden::engine::DockerEnv {
        host: Some(host.to_owned()),
        buildkit: Some(builder == Builder::BuildKit),
        ..Default::default()
    }
}

/// The first engine, with one builder.
pub(crate) async fn docker(builder: Builder) -> Docker {
    Docker::connect(&environment(services::docker_host(), builder))
        .await
        .unwrap()
}

/// A text that no other test uses.
pub(crate) fn unique() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!(
        "t{}-{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    )
}

/// The name of busybox in the first engine.
pub(crate) fn local_base() -> Reference {
    "busybox:1.36".parse().unwrap()
}

/// A recipe on the engine's own busybox. `lines` follow the FROM line.
pub(crate) async fn on_busybox(docker: &Docker, lines: &str) -> Recipe {
    let reference = local_base();
    let id = docker.image(&reference).await.unwrap().unwrap().id;
    let dockerfile = format!("ARG GOLDEN_BASE=busybox\nFROM ${{GOLDEN_BASE}}\n{lines}\n");
    recipe(PinnedBase::Local { reference, id }, &dockerfile)
}

pub(crate) fn recipe(base: PinnedBase, dockerfile: &str) -> Recipe {
    let rendered = Rendered {
        dockerfile: dockerfile.to_owned(),
        context: Vec::new(),
        build_args: BTreeMap::new(),
        api_labels: BTreeMap::new(),
    };
    Recipe {
        image: image(),
        base,
        rendered,
        inputs: Digest::of(unique().as_bytes()),
        spec_inputs: Digest::of(b"spec"),
        templates: Arc::default(),
    }
}

/// A regular file of a context.
pub(crate) fn file(path: &str, text: &str) -> Entry {
    let kind = EntryKind::File(Content::inline(text.as_bytes()));
    Entry {
        path: path.to_owned(),
        mode: 0o644,
        uid: 0,
        gid: 0,
        kind,
    }
}

fn image() -> ResolvedImage {
    ResolvedImage {
        name: unique().parse().unwrap(),
        source: "image.toml".into(),
        row: BTreeMap::new(),
        version: semver::Version::new(1, 0, 0),
        variant: None,
        description: None,
        base: Base::Scratch,
        family: Family::Static,
        family_source: FamilySource::Spec,
        template: "static".to_owned(),
        template_written: false,
        platforms: Vec::new(),
        labels: BTreeMap::new(),
        suppressed_labels: BTreeSet::new(),
        env: Vec::new(),
        config: golden::resolve::image::Config::default(),
        certificates: Vec::new(),
        trust: golden::resolve::image::TrustOptions::default(),
        packages: Packages::default(),
        files: Vec::new(),
        run: Vec::new(),
        own_withdrawn: Vec::new(),
        tags: TagRules::default(),
        tests: Vec::new(),
        lifecycle: golden::resolve::lifecycle::LifecycleRules::default(),
        channels: std::collections::BTreeMap::new(),
        provenance: Provenance::default(),
        locations: SpecLocations::default(),
    }
}

/// The result of a build and its events.
pub(crate) struct Outcome {
    pub(crate) result: Result<BuiltImage, Error>,
    pub(crate) events: Vec<Event>,
}

impl Outcome {
    /// The output of the steps.
    pub(crate) fn logs(&self) -> Vec<&str> {
        let mut lines = Vec::new();
        for event in &self.events {
            if let Event::Log { line, .. } = event {
                lines.push(line.as_str());
            }
        }
        lines
    }

    /// The steps.
    pub(crate) fn steps(&self) -> Vec<String> {
        let steps = self.events.iter().filter_map(|event| match event {
            Event::Step { step, .. } => Some(step.to_string()),
            _ => None,
        });
        steps.collect()
    }

    /// Returns the image and its ID, and panics if the build failed.
    #[track_caller]
    pub(crate) fn built(&self) -> (&BuiltImage, &Digest) {
        match &self.result {
            Ok(built) => match &built.output {
                BuildOutput::Docker { id } => (built, id),
                BuildOutput::Assembled(_) => {
                    panic!("the Docker engine returned an assembled image")
                }
            },
            Err(error) => panic!("{error:?}\n{:?}", self.events),
        }
    }
}

pub(crate) async fn build(docker: &Docker, recipe: &Recipe, options: &BuildOptions) -> Outcome {
    let (events, mut receiver) = Events::channel();
    let result = docker.build(recipe, options, &events).await;
    drop(events);
    let mut events = Vec::new();
    while let Some(event) = receiver.recv().await {
        events.push(event);
    }
    Outcome { result, events }
}

/// Both builders, for tests that must hold for each.
pub(crate) const BUILDERS: [Builder; 2] = [Builder::BuildKit, Builder::Classic];
