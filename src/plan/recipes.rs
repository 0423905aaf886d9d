//! From images to recipes: pinned, rendered, and fingerprinted, parents first.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Error;
use crate::reference::Digest;
use crate::render::{self, Recipe, Renderer, Templates};
use crate::resolve::ResolvedImage;
use crate::resolve::pin::{self, ParentIndex};
use crate::snapshot::Observed;

/// The recipes of `images`, in their order, which has parents before children. A child takes its parent's inputs.
pub fn recipes(
    images: &[ResolvedImage],
    observed: &Observed,
    templates: &Templates,
) -> Result<Vec<Recipe>, Error> {
    each_recipe(images, observed, templates)
        .into_iter()
        .collect()
}

/// The same, where an image whose base is unknown does not keep the others from having theirs.
#[must_use]
pub fn each_recipe(
    images: &[ResolvedImage],
    observed: &Observed,
    templates: &Templates,
) -> Vec<Result<Recipe, Error>> {
    let parents = ParentIndex::new(images);
    let renderer = Renderer::new(templates);
    let templates = Arc::new(templates.clone());
    let mut made: BTreeMap<usize, Digest> = BTreeMap::new();
    let mut recipes = Vec::with_capacity(images.len());
    for (position, image) in images.iter().enumerate() {
        let above = parents
            .of(image)
            .and_then(|parent| Some((images[parent].display(), made.get(&parent)?.clone())));
        let recipe = || {
            let base = pin::pin(image, observed, above)?;
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
            made.insert(position, inputs.clone());
        }
        recipes.push(recipe);
    }
    recipes
}
