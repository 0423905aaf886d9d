//! Compares the images that a plan builds with the published ones: `plan --diff`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::destinations::Destinations;
use super::diff::{self, ComparedImages};
use super::error::Error;
use super::located::Finder;
use super::names::WorkspaceNames;
use super::pipeline::{Engines, Failed};
use super::session::Session;
use super::settings::Settings;
use super::work::Planned;
use crate::engine::{self, Assembled, BuildOptions, BuildOutput, EngineKind, embedded};
use crate::plan::{self, ContentSource};
use crate::reference::{Reference, Repository};
use crate::registry::Registries;
use crate::render::PinnedBase;
use crate::resolve::ResolvedImage;
use crate::tags::TagList;
use crate::workspace::lock::Lock;

/// The comparison of a planned image with the published one.
#[derive(Debug, Serialize)]
pub struct PlannedDiff {
    /// The planned image.
    pub image: String,
    /// The result.
    #[serde(flatten)]
    pub result: DiffResult,
}

/// The result of a comparison.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum DiffResult {
    /// The images were compared.
    Compared {
        /// The published image.
        published: String,
        /// The difference.
        #[serde(serialize_with = "difference")]
        diff: Box<ComparedImages>,
    },
    /// The images were not compared.
    Skipped {
        /// The reason, as a clause.
        because: String,
    },
}

fn difference<S: serde::Serializer>(diff: &ComparedImages, to: S) -> Result<S::Ok, S::Error> {
    diff.difference.serialize(to)
}

/// Assembles the images that the plan builds, without writing them, and compares each selected one
/// with its newest published content, on its first platform. `engines_of` has the chosen engine of
/// each image. Fails if an image cannot be assembled or read.
pub(super) async fn compare(
    session: &Session,
    engines: &Engines,
    registries: &Registries,
    planned: &[Planned],
    engines_of: &[Option<EngineKind>],
) -> Result<Vec<PlannedDiff>, Error> {
    session.require_registry()?;
    let settings = &session.settings;
    let finder = PublishedFinder {
        settings,
        registries,
        lock: &session.workspace.lock,
        destinations: Destinations::of(settings, Some(&session.workspace))?,
    };
    let mut published_as: BTreeMap<String, Option<Reference>> = BTreeMap::new();
    let mut diffs = Vec::new();
    for (one, engine) in planned.iter().zip(engines_of) {
        let image = one.recipe.image.display();
        published_as.insert(image.clone(), published(one));
        if !one.step.step.is_build() {
            continue;
        }
        // Images that are not selected may be parents, which the embedded engine keeps.
        let assembled = if *engine == Some(EngineKind::Embedded) {
            assemble(session, engines, &published_as, one).await?
        } else {
            None
        };
        if !one.selected {
            continue;
        }
        let result = match &assembled {
            Some(assembled) => finder.compare(one, assembled).await?,
            None => skipped("a Docker Engine has to build it, or the image that it is built on"),
        };
        diffs.push(PlannedDiff { image, result });
    }
    Ok(diffs)
}

/// Assembles an image. Returns `None` if it or its parent needs a Docker Engine.
async fn assemble(
    session: &Session,
    engines: &Engines,
    published_as: &BTreeMap<String, Option<Reference>>,
    one: &Planned,
) -> Result<Option<Assembled>, Error> {
    let options = BuildOptions {
        published_parent: match &one.recipe.base {
            PinnedBase::Workspace { parent, .. } => published_as.get(parent).cloned().flatten(),
            _ => None,
        },
        ..BuildOptions::default()
    };
    let events = &session.settings.events;
    let built = engines.embedded.build(&one.recipe, &options, events);
    match Box::pin(built).await {
        Ok(built) => Ok(match built.output {
            BuildOutput::Assembled(assembled) => Some(assembled),
            BuildOutput::Docker { .. } => None,
        }),
        Err(engine::Error::Embedded(error))
            if error.needs_docker() || matches!(error, embedded::Error::ParentMissing { .. }) =>
        {
            Ok(None)
        }
        Err(error) => Err(Failed::from(error).into()),
    }
}

/// Finds the published images, and compares planned ones with them.
struct PublishedFinder<'a> {
    settings: &'a Settings,
    registries: &'a Registries,
    lock: &'a Lock,
    destinations: Destinations,
}

impl PublishedFinder<'_> {
    /// Compares an image with its newest published content, on its first platform.
    async fn compare(&self, one: &Planned, assembled: &Assembled) -> Result<DiffResult, Error> {
        let Self {
            settings,
            registries,
            ..
        } = *self;
        let image = &one.recipe.image;
        let mut repositories = one.step.destinations.iter().map(|it| &it.repository);
        let Some(reference) = newest(registries, repositories.next(), image).await? else {
            return Ok(skipped("no version of it is published"));
        };
        let platform = image.platforms.first();
        let finder = Finder {
            settings,
            destinations: &self.destinations,
            names: &WorkspaceNames::default(),
            platform,
        };
        let (from, to) = (reference.to_string(), image.display());
        let old = diff::content(&finder.find(&from).await?, settings).await?;
        let new = diff::assembled(assembled, platform, &to, registries, settings).await?;
        let mut diff = ComparedImages::new((from.clone(), old), (to, new));
        diff.mark_security(self.lock);
        Ok(DiffResult::Compared {
            published: from,
            diff: Box::new(diff),
        })
    }
}

fn skipped(because: &str) -> DiffResult {
    DiffResult::Skipped {
        because: because.to_owned(),
    }
}

/// The reference by digest under which an image is published, if it is not built.
fn published(planned: &Planned) -> Option<Reference> {
    let mut destinations = planned.step.destinations.iter();
    destinations.find_map(|destination| match &destination.content {
        ContentSource::Published { digest } => Some(destination.repository.digest(digest)),
        ContentSource::Upload | ContentSource::Nothing => None,
    })
}

/// The newest published content of the image's version, or else its highest version.
async fn newest(
    registries: &Registries,
    repository: Option<&Repository>,
    image: &ResolvedImage,
) -> Result<Option<Reference>, Error> {
    let Some(repository) = repository else {
        return Ok(None);
    };
    let tags = registries.repo(repository).tags().await?;
    let list = TagList::new(&tags, image.variant.as_ref(), &image.tags.withdrawn);
    let held = plan::current(&image.version, &list).or_else(|| list.versions().last());
    Ok(held.map(|held| repository.tag(&held.tag)))
}
