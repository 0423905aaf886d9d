//! Reads which published images lack a signature.

use std::collections::BTreeSet;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{CONCURRENT, Error};
use crate::config_files::SignatureFormat;
use crate::reference::{Digest, Repository, Tag};
use crate::registry::{self, Registries, Repo};
use crate::render::Recipe;
use crate::signing::{lacking, simple_tag, subjects};
use crate::snapshot::Observed;
use crate::trust::PublicKey;

/// The signatures that published images must have.
#[derive(Debug)]
pub struct ExpectedSignatures {
    /// The key; `None` if a signature by any key counts.
    pub key: Option<PublicKey>,
    /// The formats.
    pub formats: Vec<SignatureFormat>,
}

/// Finds the images with the inputs of `recipes` that lack a signature, and records them in
/// `observed`. An image that would be built anyway is not read.
pub async fn signatures(
    recipes: &[Recipe],
    expected: &ExpectedSignatures,
    registries: &Registries,
    observed: &mut Observed,
) -> Result<(), Error> {
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
        let unsigned = lacks_any(&repo, tags, &digest, expected).await?;
        Ok::<_, Error>((repository, tag, unsigned))
    });
    let read: Vec<_> = read.buffer_unordered(CONCURRENT).try_collect().await?;
    for (repository, tag, unsigned) in read {
        let state = observed.repositories.get_mut(&repository);
        if let Some(published) = state.and_then(|state| state.published.get_mut(&tag)) {
            published.unsigned = unsigned;
        }
    }
    Ok(())
}

/// True if the image, or the image of a platform, lacks a signature. `tags` are all tags of the
/// repository: an image without a tag for its simple signatures is known to lack them.
async fn lacks_any(
    repo: &Repo,
    tags: &[Tag],
    digest: &Digest,
    expected: &ExpectedSignatures,
) -> Result<bool, registry::Error> {
    let ExpectedSignatures { key, formats } = expected;
    if formats.contains(&SignatureFormat::Simple) && !tags.contains(&simple_tag(digest)?) {
        return Ok(true);
    }
    let Some(raw) = repo.manifest(digest).await? else {
        return Ok(false);
    };
    for subject in subjects(repo, &raw).await? {
        if !lacking(repo, &subject.digest, key.as_ref(), formats)
            .await?
            .is_empty()
        {
            return Ok(true);
        }
    }
    Ok(false)
}
