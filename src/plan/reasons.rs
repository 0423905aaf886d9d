//! Why an image is built again, as far as the config of what is published tells.

use std::collections::BTreeSet;

use super::PlannedParents;
use crate::assemble::runtime;
use crate::oci::ImageConfig;
use crate::render::{INPUTS, PinnedBase, Recipe, SPEC_INPUTS};
use crate::resolve::ResolvedImage;
use crate::resolve::image::{EnvValue, Layout};
use crate::resolve::labels::FILLED;
use crate::snapshot::Published;

const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";
const BASE_NAME: &str = "org.opencontainers.image.base.name";

/// What differs between what is published and what the recipe makes. Never empty.
pub(super) fn changed(
    recipe: &Recipe,
    published: &Published,
    parents: &PlannedParents,
) -> Vec<String> {
    if published.inputs.is_none() {
        return vec!["what is published has no label dev.golden.inputs".to_owned()];
    }
    let mut reasons: Vec<String> = base(recipe, published, parents).into_iter().collect();
    reasons.extend(labels(recipe, published));
    if published.runtime.runtime().is_some() {
        reasons.extend(env(recipe, &published.runtime));
        reasons.extend(config(&recipe.image, &published.runtime));
    }
    if reasons.is_empty() {
        reasons.push(format!(
            "what no config shows changed: {}",
            hidden(&recipe.image)
        ));
    }
    reasons
}

/// Whether only what is below the spec changed: the base or the packages. An image that does not record what its spec was
/// does not tell.
pub(super) fn only_below(recipe: &Recipe, published: &Published) -> bool {
    published.labels.get(SPEC_INPUTS).map(String::as_str) == Some(recipe.spec_inputs.as_str())
}

fn base(recipe: &Recipe, published: &Published, parents: &PlannedParents) -> Option<String> {
    let label = |key: &str| {
        published
            .labels
            .get(key)
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    };
    let (name, digest) = (recipe.base.name()?, label(BASE_DIGEST));
    if let Some(was) = label(BASE_NAME).filter(|was| *was != name) {
        return Some(format!("base changed {was} → {name}"));
    }
    let now = match &recipe.base {
        PinnedBase::Workspace { parent, .. } => match parents.get(parent)? {
            Some(digest) => digest,
            None => return Some(format!("its base {parent} is built anew")),
        },
        PinnedBase::Registry { digest, .. } | PinnedBase::Layout(Layout { digest, .. }) => digest,
        PinnedBase::Scratch | PinnedBase::Local { .. } => return None,
    };
    digest
        .filter(|was| *was != now.as_str())
        .map(|was| format!("base moved {was} → {now}"))
}

/// Whether all that the published image has came from its own spec, so that what the spec lacks now was taken out.
fn stands_alone(recipe: &Recipe) -> bool {
    recipe.base == PinnedBase::Scratch
}

fn labels(recipe: &Recipe, published: &Published) -> Vec<String> {
    let own = &recipe.image.labels;
    let differs = |(key, value): &(&String, &String)| published.labels.get(*key) != Some(*value);
    let mut reasons: Vec<String> = own
        .iter()
        .filter(|(key, _)| ![BASE_NAME, BASE_DIGEST].contains(&key.as_str()))
        .filter(differs)
        .map(|(key, _)| format!("labels.{key} changed"))
        .collect();
    if stands_alone(recipe) {
        let filled = |key: &str| [INPUTS, SPEC_INPUTS].contains(&key) || FILLED.contains(&key);
        let gone = published
            .labels
            .keys()
            .filter(|key| !own.contains_key(*key) && !filled(key));
        reasons.extend(gone.map(|key| format!("labels.{key} removed")));
    }
    reasons
}

fn env(recipe: &Recipe, published: &ImageConfig) -> Vec<String> {
    let own = &recipe.image.env;
    let differs = |key: &str, value: &EnvValue| match (value, published.env_value(key)) {
        (_, None) => true,
        (EnvValue::Set(value), Some(was)) => *value != was,
        (EnvValue::Extend { prepend, append }, Some(was)) => {
            !(was.starts_with(prepend.as_str()) && was.ends_with(append.as_str()))
        }
    };
    let mut reasons: Vec<String> = own
        .iter()
        .filter(|(key, value)| differs(key, value))
        .map(|(key, _)| format!("env.{key} changed"))
        .collect();
    if stands_alone(recipe) {
        let variables = published.env();
        let keys = variables
            .iter()
            .filter_map(|variable| variable.split('=').next());
        // Both engines give an image a PATH that has none.
        let gone = keys.filter(|key| *key != "PATH" && own.iter().all(|(own, _)| own != key));
        reasons.extend(gone.map(|key| format!("env.{key} removed")));
    }
    reasons
}

/// The spec is applied to the published config once more: what that changes is what changed.
fn config(image: &ResolvedImage, published: &ImageConfig) -> Vec<String> {
    let mut wanted = published.clone();
    let without_env = ResolvedImage {
        env: Vec::new(),
        ..image.clone()
    };
    runtime::apply(
        &without_env,
        &std::collections::BTreeMap::new(),
        &mut wanted,
    );
    let keys = |config: &ImageConfig, key: &str| -> BTreeSet<String> {
        let object = config
            .runtime()
            .and_then(|runtime| runtime.get(key)?.as_object());
        object
            .into_iter()
            .flat_map(|object| object.keys().cloned())
            .collect()
    };
    let check = |config: &ImageConfig| {
        config
            .runtime()
            .and_then(|runtime| runtime.get("Healthcheck").cloned())
    };
    let text = |key: &str| {
        // A builder may have cleaned a path.
        let clean = |config: &ImageConfig| config.text(key).trim_end_matches('/').to_owned();
        clean(published) != clean(&wanted)
    };
    let words = |key: &str| published.words(key) != wanted.words(key);
    let set = |key: &str| keys(published, key) != keys(&wanted, key);
    let compared = [
        ("user", text("User")),
        ("workdir", text("WorkingDir")),
        ("stop_signal", text("StopSignal")),
        ("shell", words("Shell")),
        ("entrypoint", words("Entrypoint")),
        ("cmd", words("Cmd")),
        ("expose", set("ExposedPorts")),
        ("volumes", set("Volumes")),
        ("healthcheck", check(published) != check(&wanted)),
    ];
    compared
        .into_iter()
        .filter(|(_, differs)| *differs)
        .map(|(key, _)| format!("config.{key} changed"))
        .collect()
}

/// What goes into an image without a trace in its config.
fn hidden(image: &ResolvedImage) -> String {
    let parts = [
        ("the Dockerfile", true),
        ("a file", !image.files.is_empty()),
        ("a certificate", !image.certificates.is_empty()),
        (
            "the packages",
            !image.packages.install.is_empty() || !image.packages.remove.is_empty(),
        ),
        ("a step", !image.run.is_empty()),
        ("the platforms", !image.platforms.is_empty()),
    ];
    let parts: Vec<&str> = parts
        .into_iter()
        .filter(|(_, has)| *has)
        .map(|(part, _)| part)
        .collect();
    match parts.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => unreachable!("every image has a Dockerfile"),
    }
}
