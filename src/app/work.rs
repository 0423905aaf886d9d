//! The images of a command, each with everything that is known and decided about it.

use super::error::Error;
use super::pipeline::choose::EngineChoice;
use super::pipeline::local;
use crate::plan::PlannedImage;
use crate::reference::{Reference, Repository, Tag};
use crate::render::Recipe;
use crate::resolve::{Destination, ResolvedImage};
use crate::tags;
use crate::trust::provenance::BuildFacts;

/// An image of a session: a selected one, or a base image of a selected one.
#[derive(Debug, Clone)]
pub struct SessionImage {
    /// The image.
    pub image: ResolvedImage,
    /// The reference of its base as written in the spec.
    pub written_base: Option<String>,
    /// True if the image is selected, and not only a base image of a selected one.
    pub selected: bool,
}

/// An image and its planned step.
#[derive(Debug)]
pub struct Planned {
    /// The recipe, which contains the image.
    pub recipe: Recipe,
    /// True if the image is selected.
    pub selected: bool,
    /// The planned step.
    pub step: PlannedImage,
}

/// An image of a run, with all decisions made.
#[derive(Debug)]
pub struct Work {
    /// The recipe, which contains the image.
    pub recipe: Recipe,
    /// True if the image is selected, and not only a base image of a selected one.
    pub selected: bool,
    /// The planned step.
    pub planned: PlannedImage,
    /// The engine that builds the image.
    pub engine: EngineChoice,
    /// The tag of the version in the spec.
    pub version_tag: Tag,
    /// The facts for the provenance statement; `None` if none is attached.
    pub facts: Option<BuildFacts>,
    /// The references in a Docker Engine: all tags of the version that is published.
    pub local: Vec<Reference>,
}

impl Work {
    /// Combines the plan of an image with its engine. `destinations` are those of the session. Fails
    /// if the image has no valid tags or no valid repository.
    pub fn new(
        planned: Planned,
        engine: EngineChoice,
        destinations: &[Destination],
    ) -> Result<Self, Error> {
        let Planned {
            recipe,
            selected,
            mut step,
        } = planned;
        let image = &recipe.image;
        step.engine = step
            .step
            .is_build()
            .then(|| engine.engine.as_str().to_owned());
        let fan_out = |version| tags::fan_out(version, image.variant.as_ref(), &image.tags);
        let version_tag = fan_out(&image.version)?.full().clone();
        let published = fan_out(&step.publish)?.tags.into_iter();
        let published: Vec<Tag> = published.map(|planned| planned.tag).collect();
        let local = local::references(&local_repository(image, destinations)?, &published);
        Ok(Self {
            recipe,
            selected,
            planned: step,
            engine,
            version_tag,
            facts: None,
            local,
        })
    }
}

/// The repository of an image in a Docker Engine. Fails if the image has no valid repository in its
/// first destination.
pub fn local_repository(
    image: &ResolvedImage,
    destinations: &[Destination],
) -> Result<Repository, Error> {
    let first = destinations
        .first()
        .map(|to| to.repository(&image.name))
        .transpose()?;
    Ok(local::repository(&image.name, first.as_ref())?)
}
