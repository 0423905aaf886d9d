//! Adapts a recipe to its base before an engine executes the Dockerfile: the Dockerfile fits the
//! base's user, shell and health check, files are placed where the base's directories and links
//! lead, and owners become numbers.

use super::docker::LocalImage;
use super::{BuildOptions, Docker, Embedded, Error, embedded};
use crate::assemble::{BaseImage, files};
use crate::event::{Events, Step};
use crate::render::{BaseTraits, FilesOnBase, Recipe, Syntax};
use crate::resolve::ResolvedImage;
use crate::resolve::image::Invocation;

/// The recipe, adapted to a base that golden has read itself and to the syntax of the builder.
/// Fails if the files cannot be placed on the base.
pub async fn on_base(
    embedded: &Embedded,
    recipe: &Recipe,
    base: &BaseImage,
    syntax: Syntax,
    events: &Events,
) -> Result<Recipe, Error> {
    // BuildKit creates the working directory itself, so no layer is read only for it.
    let files = match recipe.image.files.as_slice() {
        [] => FilesOnBase::default(),
        _ => files_on(embedded, &recipe.image, base, events).await?,
    };
    Ok(recipe.on_base(&BaseTraits::from(&base.config), &files, syntax)?)
}

/// The files of an image at their final paths on a base, and the working directory if the base
/// lacks it. If the image has neither, no layer is read.
pub async fn files_on(
    embedded: &Embedded,
    image: &ResolvedImage,
    base: &BaseImage,
    events: &Events,
) -> Result<FilesOnBase, embedded::Error> {
    if image.files.is_empty() && image.config.workdir.is_none() {
        return Ok(FilesOnBase::default());
    }
    embedded.files_on(image, base, events).await
}

/// The recipe, adapted to the base that a Docker Engine has. The files of the base are read from
/// its registry or layout, or from the engine if only the engine has the base.
pub async fn for_docker(
    docker: &Docker,
    embedded: &Embedded,
    recipe: &Recipe,
    options: &BuildOptions,
    events: &Events,
) -> Result<Recipe, Error> {
    let local = docker.base_of(recipe, options, events).await?;
    let image = &recipe.image;
    let traits = match &local {
        Some(local) => traits(docker, image, local, options).await?,
        None => BaseTraits::default(),
    };
    let needs_workdir = image.config.workdir.is_some() && !docker.keeps_directory_of_workdir();
    if image.files.is_empty() && !needs_workdir {
        return Ok(recipe.on_base(&traits, &FilesOnBase::default(), docker.syntax())?);
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
    Ok(recipe.on_base(&traits, &files, docker.syntax())?)
}

/// The traits of a base that a Docker Engine has. The config comes from the registry if it could be
/// read. Podman's API reports neither the shell nor the health check: if the image depends on one of
/// them, the config is read from the archive that the engine exports.
async fn traits(
    docker: &Docker,
    image: &ResolvedImage,
    base: &LocalImage,
    options: &BuildOptions,
) -> Result<BaseTraits, Error> {
    let is_complete = options.base_config.is_some() || docker.reports_whole_config();
    if is_complete || !depends_on_shell_or_check(image) {
        return Ok(BaseTraits::from(&base.config));
    }
    let saved = docker.saved_config(&base.id).await?;
    Ok(BaseTraits::from(&saved))
}

/// True if the config of the image depends on the shell or on the health check of its base.
fn depends_on_shell_or_check(image: &ResolvedImage) -> bool {
    let config = &image.config;
    let commands = [&config.entrypoint, &config.cmd];
    let has_shell_form = commands
        .into_iter()
        .flatten()
        .any(|command| matches!(command, Invocation::Shell(_)));
    (has_shell_form && config.shell.is_none()) || config.healthcheck.is_some()
}

/// True if the error comes from the spec. Reading the base from another source would then fail in
/// the same way.
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

/// The files of an image at their final paths on a base that the engine exports.
async fn on_saved(
    docker: &Docker,
    image: &ResolvedImage,
    base: &LocalImage,
    events: &Events,
) -> Result<FilesOnBase, Error> {
    events.step(&image.display(), Step::ReadBase(base.id.clone()));
    docker
        .read_trees(&base.id, |tree| files::placed(image, tree))
        .await
}
