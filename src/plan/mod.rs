//! The plan: what `build --push` would do, as a value. A pure function of recipes and of what was observed.

mod choose;
mod destination;
mod reasons;
mod recipes;
mod state;

pub use destination::{ContentSource, PlannedAction, PlannedDestination, PlannedMove, current};
pub use recipes::{each_recipe, recipes};

use std::collections::BTreeMap;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::reference::{Digest, Repository, RepositoryPath};
use crate::render::{PinnedBase, Recipe};
use crate::resolve::Destination;
use crate::snapshot::Observed;
use crate::tags::{self, ExtraError, TagError, Variant};
use choose::{PlanChoice, choose};
use state::RepositoryState;

/// What would be done, image by image, parents first. This is what `plan --format json` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The images.
    pub images: Vec<PlannedImage>,
}

impl Plan {
    /// Whether an image is refused.
    #[must_use]
    pub fn has_refusals(&self) -> bool {
        self.images.iter().any(|image| image.step.is_refusal())
    }
}

/// What would be done with one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedImage {
    /// What people call it: `dotnet/aspnet:3.0.1-alpine`.
    pub image: String,
    /// Its name.
    pub name: RepositoryPath,
    /// The version of the spec.
    pub version: Version,
    /// The version that is published: the next revision, where the spec's rules ask for one.
    pub publish: Version,
    /// Its variant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<Variant>,
    /// Its inputs.
    pub inputs: Digest,
    /// What it is built on; none for scratch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<PlannedBase>,
    /// The engine that would build it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// Build, skip, retag, copy or refuse.
    #[serde(flatten)]
    pub step: PlanStep,
    /// The next free version, if the image's version is withdrawn, so that nothing is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<Version>,
    /// What would happen in each registry.
    pub destinations: Vec<PlannedDestination>,
}

/// A base in a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedBase {
    /// The reference, or the parent's display name.
    pub name: String,
    /// Its digest, when a registry has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// What is done to have the image's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "lowercase")]
pub enum PlanStep {
    /// It is built.
    Build {
        /// Why.
        because: Vec<String>,
    },
    /// Every registry has it, and every tag is where it belongs.
    Skip {
        /// Why.
        because: Vec<String>,
    },
    /// Every registry has it, and only tags are created or moved.
    Retag {
        /// Why nothing is uploaded.
        because: Vec<String>,
    },
    /// One registry has it; the others get it from there.
    Copy {
        /// Where it is.
        from: Repository,
        /// Its digest.
        digest: Digest,
        /// Why.
        because: Vec<String>,
    },
    /// Nothing is done.
    Refuse {
        /// Why.
        because: Vec<String>,
        /// What would be accepted.
        help: Vec<String>,
    },
}

impl PlanStep {
    /// Why.
    #[must_use]
    pub fn because(&self) -> &[String] {
        let (Self::Build { because }
        | Self::Skip { because }
        | Self::Retag { because }
        | Self::Copy { because, .. }
        | Self::Refuse { because, .. }) = self;
        because
    }

    /// Whether nothing may be done.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Refuse { .. })
    }

    /// Whether the image is built.
    #[must_use]
    pub const fn is_build(&self) -> bool {
        matches!(self, Self::Build { .. })
    }
}

/// What a plan is told beyond recipes and observations.
#[derive(Debug, Clone, Default)]
pub struct PlanOptions {
    /// Where images are published; none means that they are only built.
    pub destinations: Vec<Destination>,
    /// Build in spite of equal inputs.
    pub force: bool,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A base could not be pinned.
    #[error(transparent)]
    Pin(#[from] crate::resolve::pin::Error),
    /// An image could not be rendered.
    #[error(transparent)]
    Render(#[from] crate::render::Error),
    /// A version makes no tags.
    #[error("{image}: {source}")]
    Tags {
        /// The image.
        image: String,
        /// Why.
        source: TagError,
    },
    /// An extra tag belongs to a variant that the repository has.
    #[error("{image}: {repository}: {source}")]
    Extra {
        /// The image.
        image: String,
        /// The repository.
        repository: Repository,
        /// Why.
        source: ExtraError,
    },
    /// A repository's name is too long.
    #[error("{image}: {source}")]
    Repository {
        /// The image.
        image: String,
        /// Why.
        source: crate::reference::Error,
    },
}

/// Plans every image. `recipes` has parents before their children.
pub fn plan(recipes: &[Recipe], observed: &Observed, options: &PlanOptions) -> Result<Plan, Error> {
    let mut parents = PlannedParents::new();
    let mut images = Vec::with_capacity(recipes.len());
    for recipe in recipes {
        let planned = plan_image(recipe, observed, options, &parents)?;
        parents.insert(planned.image.clone(), planned.published().cloned());
        images.push(planned);
    }
    Ok(Plan { images })
}

/// What was planned of the images so far, by display name: the digest under which they are published, or none for
/// those that are built anew.
pub(crate) type PlannedParents = BTreeMap<String, Option<Digest>>;

impl PlannedImage {
    /// The digest under which the image is published already; none when it is to be built.
    fn published(&self) -> Option<&Digest> {
        self.destinations
            .iter()
            .find_map(|destination| match &destination.content {
                ContentSource::Published { digest } if !self.step.is_build() => Some(digest),
                _ => None,
            })
    }
}

fn plan_image(
    recipe: &Recipe,
    observed: &Observed,
    options: &PlanOptions,
    parents: &PlannedParents,
) -> Result<PlannedImage, Error> {
    let image = &recipe.image;
    let repositories: Vec<(String, Repository)> = options
        .destinations
        .iter()
        .map(|destination| {
            Ok((
                destination.name.clone(),
                destination.repository(&image.name)?,
            ))
        })
        .collect::<Result<_, _>>()
        .map_err(|source| Error::Repository {
            image: image.display(),
            source,
        })?;
    let states: Vec<RepositoryState<'_>> = repositories
        .iter()
        .map(|(_, repository)| RepositoryState::of(recipe, observed, repository))
        .collect();
    for state in states.iter().filter(|_| !image.tags.extra.is_empty()) {
        let variants = state.existing.sure_variants();
        for extra in &image.tags.extra {
            tags::check_extra(extra, None, variants.iter().map(Variant::as_str)).map_err(
                |source| Error::Extra {
                    image: image.display(),
                    repository: state.repository.clone(),
                    source,
                },
            )?;
        }
    }
    let PlanChoice {
        publish,
        mut step,
        withdrawn,
    } = choose(recipe, &states, options.force, parents);
    let mut destinations = Vec::with_capacity(states.len());
    for ((registry, _), state) in repositories.into_iter().zip(&states) {
        let planned = destination::plan(
            recipe,
            &publish,
            registry,
            state,
            &step,
            withdrawn.is_some(),
        )
        .map_err(|source| Error::Tags {
            image: image.display(),
            source,
        })?;
        destinations.push(planned);
    }
    if destinations.is_empty() {
        // Nothing is published, but a version whose tags break the grammar is told now.
        tags::fan_out(&publish, image.variant.as_ref(), &image.tags).map_err(|source| {
            Error::Tags {
                image: image.display(),
                source,
            }
        })?;
    }
    let refusals: Vec<String> = destinations
        .iter()
        .flat_map(PlannedDestination::refusals)
        .collect();
    if !refusals.is_empty() && !step.is_refusal() {
        step = PlanStep::Refuse {
            because: refusals,
            help: vec![choose::other_version(recipe, &states)],
        };
    }
    if step.is_refusal() {
        destinations = destinations
            .into_iter()
            .map(PlannedDestination::stopped)
            .collect();
    }
    if let PlanStep::Skip { because } = &step
        && !destinations.iter().all(PlannedDestination::is_quiet)
    {
        step = PlanStep::Retag {
            because: because.clone(),
        };
    }
    let name = recipe.base.name();
    let digest = recipe.base.digest().cloned();
    Ok(PlannedImage {
        image: image.display(),
        name: image.name.clone(),
        version: image.version.clone(),
        publish,
        variant: image.variant.clone(),
        inputs: recipe.inputs.clone(),
        base: name.map(|name| PlannedBase { name, digest }),
        engine: None,
        step,
        withdrawn,
        destinations,
    })
}

/// The base in one line.
#[must_use]
pub fn base_line(base: &PinnedBase) -> String {
    match (base.name(), base.digest()) {
        (None, _) => "scratch".to_owned(),
        (Some(name), None) => name,
        (Some(name), Some(digest)) => format!("{name} ({})", digest.short()),
    }
}

#[cfg(test)]
mod tests;
