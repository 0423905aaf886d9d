//! The build cache in the registry (`[workspace] cache = "registry"`): engines with BuildKit read
//! the results of steps from the tag `buildcache` of the image, and a published image becomes the
//! next content of that tag.

use super::run::Run;
use crate::app::work::Work;
use crate::engine::{BuiltImage, EngineKind};
use crate::reference::Reference;
use crate::registry::{Error, Repo};
use crate::tags;

impl Run<'_> {
    /// The images with the results of earlier builds, by digest. `None` if the workspace has no
    /// build cache. A registry that cannot be read only makes the build slower.
    pub(super) async fn cached_builds(&self, work: &Work) -> Option<Vec<Reference>> {
        if self.options.cache.is_empty() {
            return None;
        }
        let mut images = Vec::new();
        for tag in self.cache_tags(work) {
            let Some(name) = &tag.tag else { continue };
            match self.registries.repo(&tag.repository).head(name).await {
                Ok(found) => {
                    images.extend(found.map(|found| tag.repository.digest(&found.digest)));
                }
                Err(error) => tracing::debug!(%tag, %error, "the build cache is not read"),
            }
        }
        Some(images)
    }

    /// Makes the published image the build cache of its repositories, if an engine has stored the
    /// results of its steps in it. A failure is a warning: the image itself is complete.
    pub(super) async fn keep_cache(
        &self,
        work: &Work,
        built: Option<&BuiltImage>,
        published: &[Reference],
    ) {
        if !built.is_some_and(|built| built.engine == EngineKind::Docker) {
            return;
        }
        for tag in self.cache_tags(work) {
            let image = published.iter().find(|it| it.repository == tag.repository);
            let Some(image) = image else { continue };
            let repo = self.registries.repo(&tag.repository);
            if let Err(error) = copy_tag(&repo, image, &tag).await {
                let warning = format!("the build cache {tag} was not updated: {error}");
                self.events.warn(Some(&work.planned.image), warning);
            }
        }
    }

    /// The tag of the build cache in each destination that has one.
    fn cache_tags(&self, work: &Work) -> Vec<Reference> {
        let image = &work.recipe.image;
        let tags = self.options.cache.iter().map(|destination| {
            let repository = destination.repository(&image.name)?;
            Ok::<_, crate::reference::Error>(
                repository.tag(&tags::build_cache(image.variant.as_ref())?),
            )
        });
        tags.filter_map(Result::ok).collect()
    }
}

/// Points a tag to the manifest of an image in the same repository.
async fn copy_tag(repo: &Repo, image: &Reference, tag: &Reference) -> Result<(), Error> {
    if let (Some(digest), Some(tag)) = (&image.digest, &tag.tag)
        && let Some(manifest) = repo.manifest(digest).await?
    {
        repo.put(tag, &manifest).await?;
    }
    Ok(())
}
