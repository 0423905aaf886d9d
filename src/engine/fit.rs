//! Fitting a recipe to its base, before an engine that executes Dockerfiles is given it: the Dockerfile for the base's
//! user, shell and health check, the files where the base's directories and links lead, and owners as numbers.

use super::docker::LocalImage;
use super::{BuildOptions, Docker, Embedded, Error, embedded};
use crate::assemble::{BaseImage, files};
use crate::event::Events;
use crate::oci::tar::Entry;
use crate::render::{BaseTraits, Recipe};
use crate::resolve::ResolvedImage;

/// A recipe on a base that golden has read itself.
pub async fn on_base(
    embedded: &Embedded,
    recipe: &Recipe,
    base: &BaseImage,
    events: &Events,
) -> Result<Recipe, Error> {
    // BuildKit makes the working directory itself: no layer is read for that alone.
    let files = match recipe.image.files.as_slice() {
        [] => Vec::new(),
        _ => files_on(embedded, &recipe.image, base, events).await?,
    };
    Ok(recipe.on_base(&BaseTraits::from(&base.config), &files)?)
}

/// The files of an image at their places on a base, and its working directory if the base lacks it. No layer is read
/// for an image without either.
pub async fn files_on(
    embedded: &Embedded,
    image: &ResolvedImage,
    base: &BaseImage,
    events: &Events,
) -> Result<Vec<Entry>, embedded::Error> {
    if image.files.is_empty() && image.config.workdir.is_none() {
        return Ok(Vec::new());
    }
    embedded.files_on(image, base, events).await
}

/// A recipe on the base that a Docker Engine has. The files of the base are read from its registry or layout; where
/// only the engine has it, from the engine.
pub async fn for_docker(
    docker: &Docker,
    embedded: &Embedded,
    recipe: &Recipe,
    options: &BuildOptions,
    events: &Events,
) -> Result<Recipe, Error> {
    let local = docker.base_of(recipe, options, events).await?;
    let image = &recipe.image;
    // The engine answers with the config of the registry where that could be read: Podman does not tell all of it.
    let traits = local
        .as_ref()
        .map(|local| BaseTraits::from(&local.config))
        .unwrap_or_default();
    if image.files.is_empty() {
        return Ok(recipe.on_base(&traits, &[])?);
    }
    let platform = local
        .as_ref()
        .map_or_else(|| docker.platform(), |local| &local.platform);
    let base = embedded.base_of(recipe, options, platform).await;
    let read = match base {
        Ok(base) => embedded.files_on(image, &base, events).await,
        Err(error) => Err(error),
    };
    let files = match (read, &local) {
        (Ok(files), _) => files,
        (Err(error), Some(local)) if !is_of_the_spec(&error) => {
            tracing::debug!(%error, "the base is read from the engine");
            on_saved(docker, image, local, events).await?
        }
        (Err(error), _) => return Err(error.into()),
    };
    Ok(recipe.on_base(&traits, &files)?)
}

/// Whether reading the base from elsewhere would end in the same error.
#[must_use]
pub const fn is_of_the_spec(error: &embedded::Error) -> bool {
    use crate::assemble::Error as Assemble;
    matches!(
        error,
        embedded::Error::Assemble(
            Assemble::Owner { .. }
                | Assemble::NotADirectory { .. }
                | Assemble::IsADirectory { .. }
                | Assemble::SameTarget { .. }
                | Assemble::LinkLoop(_)
        )
    )
}

/// The files of an image at their places on a base that the engine hands over.
async fn on_saved(
    docker: &Docker,
    image: &ResolvedImage,
    base: &LocalImage,
    events: &Events,
) -> Result<Vec<Entry>, Error> {
    events.step(
        &image.display(),
        format!("read the base {} from the engine", base.id.short()),
    );
    docker
        .read_trees(&base.id, |tree| files::placed(image, tree))
        .await
}
