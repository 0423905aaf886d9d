//! Converts images to recipes: pins the base, renders, and computes the inputs digests.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Error;
use crate::reference::Digest;
use crate::render::{self, Recipe, Renderer, Templates};
use crate::resolve::ResolvedImage;
use crate::resolve::pin::{self, ParentIndex};
use crate::snapshot::Observed;

/// The recipes of `images`, in the same order. `images` must list parents before their children,
/// since the inputs of a child contain those of its parent. Fails if a base cannot be pinned or an
/// image cannot be rendered.
pub fn recipes(
    images: &[ResolvedImage],
    observed: &Observed,
    templates: &Templates,
) -> Result<Vec<Recipe>, Error> {
    each_recipe(images, observed, templates)
        .into_iter()
        .collect()
}

/// Like [`recipes`], but returns one result for each image, so that an error of one image does not
/// affect the others.
#[must_use]
pub fn each_recipe(
    images: &[ResolvedImage],
    observed: &Observed,
    templates: &Templates,
) -> Vec<Result<Recipe, Error>> {
    let parents = ParentIndex::new(images);
    let renderer = Renderer::new(templates);
    let templates = Arc::new(templates.clone());
    let mut inputs_of: BTreeMap<usize, Digest> = BTreeMap::new();
    let mut recipes = Vec::with_capacity(images.len());
    for (position, image) in images.iter().enumerate() {
        let parent = parents
            .of(image)
            .and_then(|parent| Some((images[parent].display(), inputs_of.get(&parent)?.clone())));
        let recipe = || {
            let base = pin::pin(image, observed, parent)?;
            let rendered = renderer.render(image)?;
            let inputs = render::fingerprint(image, &rendered, &base);
            let spec_inputs = renderer.spec_inputs(image, &rendered)?;
            let (image, templates) = (image.clone(), Arc::clone(&templates));
            Ok(Recipe {
                image,
                base,
                rendered,
                inputs,
                spec_inputs,
                templates,
            })
        };
        let recipe = recipe();
        if let Ok(Recipe { inputs, .. }) = &recipe {
            inputs_of.insert(position, inputs.clone());
        }
        recipes.push(recipe);
    }
    recipes
}
