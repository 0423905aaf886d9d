//! The plan: a value that describes the actions of `build --push`. It is a pure function of recipes
//! and observations.

mod channel;
mod choose;
mod destination;
mod parts;
mod reason;
mod reasons;
mod recipes;
mod state;

pub use channel::{ChannelAction, ChannelState, ChannelTarget, PlannedChannel, channel_state};
pub use destination::{ContentSource, PlannedAction, PlannedDestination, PlannedMove, current};
pub use parts::parts;
pub use reason::{Reason, joined};
pub use recipes::{each_recipe, recipes};

use std::collections::BTreeMap;

use semver::Version;
use serde::Serialize;

use crate::reference::{Digest, Repository, RepositoryPath};
use crate::render::{PinnedBase, Recipe};
use crate::resolve::Destination;
use crate::snapshot::Observed;
use crate::tags::{self, ExtraError, TagError, Variant};
use choose::{PlanChoice, choose};
use state::RepositoryState;

/// The planned actions for all images. `plan --format json` prints this value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The images, parents before their children.
    pub images: Vec<PlannedImage>,
}

impl Plan {
    /// True if an image or a channel is refused.
    #[must_use]
    pub fn has_refusals(&self) -> bool {
        let is_refused = |channel: &PlannedChannel| channel.action == ChannelAction::Refuse;
        self.images
            .iter()
            .any(|image| image.step.is_refusal() || image.channels.iter().any(is_refused))
    }
}

/// The planned actions for one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedImage {
    /// The display name: `dotnet/aspnet:3.0.1-alpine`.
    pub image: String,
    /// The name in the spec.
    pub name: RepositoryPath,
    /// The version in the spec.
    pub version: Version,
    /// The version to publish: the version in the spec, or a revision of it.
    pub publish: Version,
    /// The variant, if the spec has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<Variant>,
    /// The inputs digest.
    pub inputs: Digest,
    /// The base; `None` for scratch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<PlannedBase>,
    /// The engine that would build the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// Build, skip, retag, attach, copy or refuse.
    #[serde(flatten)]
    pub step: PlanStep,
    /// The next free version, if the version is withdrawn and so nothing is published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<Version>,
    /// The direct or indirect base image that is withdrawn and not published, so that this image
    /// cannot be built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked_by: Option<String>,
    /// The planned changes in each registry.
    pub destinations: Vec<PlannedDestination>,
    /// The channels of the image, as they are after the publication. Only `golden plan` fills them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<PlannedChannel>,
}

/// A base in a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedBase {
    /// The reference, or the display name of the parent.
    pub name: String,
    /// The digest, if a registry has the base.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// The action that provides the content of the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "lowercase")]
pub enum PlanStep {
    /// Build the image.
    Build {
        /// The reasons for the build.
        because: Vec<Reason>,
    },
    /// Do nothing: every registry has the image, and every tag is correct.
    Skip {
        /// The reasons for skipping it.
        because: Vec<Reason>,
    },
    /// Only create or move tags: every registry has the image.
    Retag {
        /// The reasons why nothing is uploaded.
        because: Vec<Reason>,
    },
    /// Only attach artifacts such as a signature: every registry has the image, and every tag is
    /// correct.
    Attach {
        /// The reasons why nothing else changes.
        because: Vec<Reason>,
    },
    /// Copy the image from a registry that has it to the others.
    Copy {
        /// The repository that has the image.
        from: Repository,
        /// The digest of the image.
        digest: Digest,
        /// The reasons for the copy.
        because: Vec<Reason>,
    },
    /// Do nothing and fail.
    Refuse {
        /// The reasons for the refusal.
        because: Vec<Reason>,
        /// Hints about what would be accepted.
        help: Vec<String>,
    },
}

impl PlanStep {
    /// The reasons for the step.
    #[must_use]
    pub fn because(&self) -> &[Reason] {
        let (Self::Build { because }
        | Self::Skip { because }
        | Self::Retag { because }
        | Self::Attach { because }
        | Self::Copy { because, .. }
        | Self::Refuse { because, .. }) = self;
        because
    }

    /// True if the image is refused.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Refuse { .. })
    }

    /// True if the image is built.
    #[must_use]
    pub const fn is_build(&self) -> bool {
        matches!(self, Self::Build { .. })
    }
}

/// The options of a plan.
#[derive(Debug, Clone, Default)]
pub struct PlanOptions {
    /// The registries to publish to; if empty, images are only built.
    pub destinations: Vec<Destination>,
    /// Build even if the inputs are unchanged.
    pub force: bool,
}

/// The reason why planning failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A base could not be pinned.
    #[error(transparent)]
    Pin(#[from] crate::resolve::pin::Error),
    /// An image could not be rendered.
    #[error(transparent)]
    Render(#[from] crate::render::Error),
    /// A version has no valid tags.
    #[error("{image}: {source}")]
    Tags {
        /// The display name of the image.
        image: String,
        /// The invalid tag.
        source: TagError,
    },
    /// An extra tag is the name of a variant in the repository.
    #[error("{image}: {repository}: {source}")]
    Extra {
        /// The display name of the image.
        image: String,
        /// The repository that has the variant.
        repository: Repository,
        /// The violated rule.
        source: ExtraError,
    },
    /// The name of a repository is too long.
    #[error("{image}: {source}")]
    Repository {
        /// The display name of the image.
        image: String,
        /// The violated rule.
        source: crate::reference::Error,
    },
}

/// Plans every image. `recipes` must list parents before their children. Fails if a tag or the name
/// of a repository is not valid.
pub fn plan(recipes: &[Recipe], observed: &Observed, options: &PlanOptions) -> Result<Plan, Error> {
    let mut parents = PlannedParents::new();
    let mut missing: BTreeMap<String, String> = BTreeMap::new();
    let mut images = Vec::with_capacity(recipes.len());
    for recipe in recipes {
        let mut planned = plan_image(recipe, observed, options, &parents)?;
        if let PinnedBase::Workspace { parent, .. } = &recipe.base
            && let Some(withdrawn) = missing.get(parent)
        {
            planned = planned.blocked_by(withdrawn);
        }
        if let Some(withdrawn) = planned.missing() {
            missing.insert(planned.image.clone(), withdrawn.to_owned());
        }
        parents.insert(planned.image.clone(), planned.published().cloned());
        images.push(planned);
    }
    Ok(Plan { images })
}

/// The images that are already planned, by display name: the published digest, or `None` for images
/// that are rebuilt.
pub(crate) type PlannedParents = BTreeMap<String, Option<Digest>>;

impl PlannedImage {
    /// The digest of the published image; `None` if the image will be built.
    fn published(&self) -> Option<&Digest> {
        self.destinations
            .iter()
            .find_map(|destination| match &destination.content {
                ContentSource::Published { digest } => Some(digest),
                _ => None,
            })
    }

    /// The withdrawn image, this one or a base, that prevents the build. `None` if this image is
    /// published.
    fn missing(&self) -> Option<&str> {
        let withdrawn = self.withdrawn.is_some().then_some(self.image.as_str());
        let image = withdrawn.or(self.blocked_by.as_deref());
        image.filter(|_| self.published().is_none())
    }

    /// Returns this image with the step replaced by a skip, if it would be built on the image
    /// `withdrawn`, which does not exist.
    fn blocked_by(self, withdrawn: &str) -> Self {
        if !self.step.is_build() {
            return self;
        }
        let because = vec![Reason::BaseWithdrawn(withdrawn.to_owned())];
        Self {
            step: PlanStep::Skip { because },
            blocked_by: Some(withdrawn.to_owned()),
            destinations: Vec::new(),
            ..self
        }
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
    for state in &states {
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
        // Nothing is published, but a version with invalid tags is still an error.
        tags::fan_out(&publish, image.variant.as_ref(), &image.tags).map_err(|source| {
            Error::Tags {
                image: image.display(),
                source,
            }
        })?;
    }
    let refusals: Vec<Reason> = destinations
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
        && !destinations.iter().all(PlannedDestination::is_up_to_date)
    {
        let because = because.clone();
        step = if destinations.iter().any(PlannedDestination::moves_tags) {
            PlanStep::Retag { because }
        } else {
            PlanStep::Attach { because }
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
        blocked_by: None,
        destinations,
        channels: Vec::new(),
    })
}

#[cfg(test)]
mod tests;
