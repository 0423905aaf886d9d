//! From images to recipes: pinned, rendered, and fingerprinted, parents first.

use std::collections::BTreeMap;

use super::Error;
use crate::reference::Digest;
use crate::render::{self, Recipe, Renderer, Templates};
use crate::resolve::ResolvedImage;
use crate::resolve::pin::{self, Parents};
use crate::snapshot::Observed;

/// The recipes of `images`, in their order, which has parents before children. A child takes its parent's inputs.
pub fn recipes(
    images: &[ResolvedImage],
    observed: &Observed,
    templates: &Templates,
) -> Result<Vec<Recipe>, Error> {
    let parents = Parents::new(images);
    let renderer = Renderer::new(templates);
    let mut made: BTreeMap<usize, Digest> = BTreeMap::new();
    let mut recipes = Vec::with_capacity(images.len());
    for (position, image) in images.iter().enumerate() {
        let above =
            parents.of(image).and_then(|parent| Some((images[parent].display(), made.get(&parent)?.clone())));
        let base = pin::pin(image, observed, above)?;
        let rendered = renderer.render(image)?;
        let inputs = render::fingerprint(image, &rendered, &base);
        made.insert(position, inputs.clone());
        let spec_inputs = renderer.spec_inputs(image, &rendered)?;
        recipes.push(Recipe { image: image.clone(), base, rendered, inputs, spec_inputs });
    }
    Ok(recipes)
}
