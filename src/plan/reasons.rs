//! Why an image is built again, as far as the labels of what is published tell.

use std::collections::BTreeSet;

use crate::render::{PinnedBase, Recipe};
use crate::snapshot::Published;

const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";
const BASE_NAME: &str = "org.opencontainers.image.base.name";

/// What differs between what is published and what the recipe makes. Never empty.
pub(super) fn changed(
    recipe: &Recipe,
    published: Option<&Published>,
    built: &BTreeSet<String>,
) -> Vec<String> {
    let Some(published) = published else {
        return vec!["what is published could not be read".to_owned()];
    };
    if published.inputs.is_none() {
        return vec!["what is published has no label dev.golden.inputs".to_owned()];
    }
    let mut reasons: Vec<String> = base(recipe, published, built).into_iter().collect();
    for (key, value) in &recipe.image.labels {
        if published.labels.get(key) != Some(value) && key != BASE_NAME && key != BASE_DIGEST {
            reasons.push(format!("labels.{key} changed"));
        }
    }
    if reasons.is_empty() {
        reasons.push("the rendered Dockerfile, a file, a certificate or the platforms changed".to_owned());
    }
    reasons
}

fn base(recipe: &Recipe, published: &Published, built: &BTreeSet<String>) -> Option<String> {
    let label = |key: &str| published.labels.get(key).map(String::as_str);
    match &recipe.base {
        PinnedBase::Workspace { parent, .. } => {
            built.contains(parent).then(|| format!("its base {parent} is built anew"))
        }
        PinnedBase::Registry { .. } | PinnedBase::Layout(_) => {
            let (name, digest) = (recipe.base.name()?, recipe.base.digest()?);
            match (label(BASE_NAME), label(BASE_DIGEST)) {
                (Some(was), _) if was != name => Some(format!("base changed {was} → {name}")),
                (_, Some(was)) if was != digest.as_str() => Some(format!("base moved {was} → {digest}")),
                _ => None,
            }
        }
        PinnedBase::Scratch | PinnedBase::Local { .. } => None,
    }
}
