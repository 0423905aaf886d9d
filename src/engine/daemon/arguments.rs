//! The parameters of a Dockerfile build: build arguments, labels, and the check of the required
//! secrets.

use std::collections::BTreeMap;

use super::super::{BuildOptions, EngineKind, Error};
use crate::oci::ImageConfig;
use crate::render::{self, Recipe};
use crate::resolve::image::StepNeed;

/// The build argument with the user of the base. The Dockerfile restores this user after the steps
/// that run as root.
const BASE_USER: &str = "GOLDEN_BASE_USER";
/// The largest secret that BuildKit accepts, in bytes.
const MAX_SECRET: usize = 500 * 1024;

/// The build arguments. `base` is the reference of the base and its config; `None` for scratch.
pub(in crate::engine) fn build_args(
    recipe: &Recipe,
    options: &BuildOptions,
    base: Option<(&str, &ImageConfig)>,
) -> BTreeMap<String, String> {
    let mut arguments = options.proxy_args.clone();
    arguments.extend(recipe.rendered.build_args.clone());
    if let Some((reference, config)) = base {
        arguments.insert("GOLDEN_BASE".to_owned(), reference.to_owned());
        // The classic builder warns about an argument that no instruction declares.
        if recipe.rendered.dockerfile.contains(BASE_USER) {
            arguments.insert(BASE_USER.to_owned(), config.user().to_owned());
        }
    }
    arguments
}

/// The labels that are not part of the Dockerfile.
pub(in crate::engine) fn labels(
    recipe: &Recipe,
    options: &BuildOptions,
) -> BTreeMap<String, String> {
    render::late_labels(recipe, options.parent_digest())
        .into_iter()
        .collect()
}

/// Checks the recipe before anything is sent. Fails if no Dockerfile builder can build it, or if a
/// secret or the ssh agent was not passed, or a secret is too large.
pub(in crate::engine) fn refuse_unsupported(
    recipe: &Recipe,
    options: &BuildOptions,
) -> Result<(), Error> {
    let unsupported = |what| {
        Err(Error::Unsupported {
            what,
            engine: EngineKind::Docker,
        })
    };
    if let Some(what) = render::needs_embedded(&recipe.image) {
        return unsupported(format!("{what} needs the embedded engine"));
    }
    for need in recipe.image.step_needs() {
        let passed = match &need {
            StepNeed::Ssh => options.ssh.as_ref().map(|_| None),
            StepNeed::Secret(name) => options.secrets.get(name).map(Some),
        };
        let secret = passed.ok_or_else(|| Error::NotPassed { need: need.clone() })?;
        if secret.is_some_and(|secret| secret.expose().len() > MAX_SECRET) {
            return unsupported(format!("{need} is larger than {} kB", MAX_SECRET / 1024));
        }
    }
    Ok(())
}
