//! Reads which published images lack a signature, a bill of materials or a provenance statement.

use std::collections::BTreeSet;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{CONCURRENT, ConfigCache, Error};
use crate::config_files::SignatureFormat;
use crate::config_files::policy::RequiredArtifact;
use crate::image::{self, Follow, Source, Tree};
use crate::oci::{Bytes, Descriptor, RawManifest};
use crate::reference::{Digest, Repository, Tag};
use crate::registry::{self, Registries, Repo};
use crate::render::Recipe;
use crate::signing::{Expected, ExpectedSignatures, missing, simple_tag};
use crate::snapshot::Observed;

/// Finds the images with the inputs of `recipes` that lack an artifact, and records it in
/// `observed`. An image that would be built anyway is not read. An index that lost the image of a
/// platform is removed from the published images, as others of which the registry lost a part.
pub async fn artifacts(
    recipes: &[Recipe],
    expected: &Expected,
    registries: &Registries,
    cache: &ConfigCache,
    observed: &mut Observed,
) -> Result<(), Error> {
    if expected.is_empty() {
        return Ok(());
    }
    let inputs: BTreeSet<&Digest> = recipes.iter().map(|recipe| &recipe.inputs).collect();
    let mut open: Vec<(Repository, Tag, Digest)> = Vec::new();
    for (repository, state) in &observed.repositories {
        for (tag, published) in &state.published {
            if published
                .inputs
                .as_ref()
                .is_some_and(|own| inputs.contains(own))
            {
                open.push((repository.clone(), tag.clone(), published.digest.clone()));
            }
        }
    }
    let read = stream::iter(open).map(async |(repository, tag, digest)| {
        let tags = &observed.repositories[&repository].tags;
        let repo = registries.repo(&repository);
        let lacking = lacking(CachedRepo { repo, cache }, tags, &digest, expected).await?;
        Ok::<_, Error>((repository, tag, lacking))
    });
    let read: Vec<_> = read.buffer_unordered(CONCURRENT).try_collect().await?;
    for (repository, tag, lacking) in read {
        let Some(state) = observed.repositories.get_mut(&repository) else {
            continue;
        };
        let Some(lacking) = lacking else {
            state.published.remove(&tag);
            continue;
        };
        if let Some(published) = state.published.get_mut(&tag) {
            published.lacking = lacking;
        }
    }
    Ok(())
}

/// The kinds of artifacts that the image, or the image of a platform, lacks. `tags` are all tags of
/// the repository: an image without a tag for its simple signatures is known to lack them. Returns
/// `None` if the registry lost the image of a platform.
async fn lacking(
    source: CachedRepo<'_>,
    tags: &[Tag],
    digest: &Digest,
    expected: &Expected,
) -> Result<Option<BTreeSet<RequiredArtifact>>, registry::Error> {
    let mut expected = expected.clone();
    let mut lacking = BTreeSet::new();
    let is_simple =
        |signatures: &ExpectedSignatures| signatures.formats.contains(&SignatureFormat::Simple);
    if expected.signatures.as_ref().is_some_and(is_simple) && !tags.contains(&simple_tag(digest)?) {
        lacking.insert(RequiredArtifact::Signature);
        expected = Expected {
            // Unsigned statements do not count if there is a key.
            signatures: expected.signatures.map(|signatures| ExpectedSignatures {
                formats: Vec::new(),
                ..signatures
            }),
            ..expected
        };
        if expected.sbom.is_empty() && !expected.provenance {
            return Ok(Some(lacking));
        }
    }
    let Some(raw) = source.cache.manifest(&source.repo, digest).await? else {
        return Ok(Some(lacking));
    };
    let tree = Tree::load(&source, raw, Follow::Images).await?;
    if !tree.missing.is_empty() {
        return Ok(None);
    }
    for subject in tree.children_first() {
        let missing = missing(&source.repo, subject, &expected).await?;
        // The tag was just read, but the manifests below it may only be in the cache.
        if !missing.is_empty()
            && subject.digest != *digest
            && source.repo.head(&subject.digest).await?.is_none()
        {
            return Ok(None);
        }
        lacking.extend(missing.kinds());
    }
    Ok(Some(lacking))
}

/// A repository whose manifests are read from the user's cache if possible.
struct CachedRepo<'a> {
    repo: Repo,
    cache: &'a ConfigCache,
}

impl Source for CachedRepo<'_> {
    type Error = registry::Error;

    async fn manifest(&self, descriptor: &Descriptor) -> Result<Option<RawManifest>, Self::Error> {
        self.cache.manifest(&self.repo, &descriptor.digest).await
    }

    async fn metadata(&self, descriptor: &Descriptor) -> Result<Bytes, Self::Error> {
        self.repo.metadata(descriptor).await
    }

    fn missing(&self, digest: &Digest) -> Self::Error {
        Source::missing(&self.repo, digest)
    }

    fn unusable(&self, digest: &Digest, problem: image::Error) -> Self::Error {
        self.repo.unusable(digest, problem)
    }
}
