//! Explains why an image is built again, by comparing the recipe with the published image config.

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;

use super::parts::{DOCKERFILE, differences};
use super::{PlannedParents, Reason};
use crate::assemble::runtime;
use crate::oci::ImageConfig;
use crate::render::{INPUTS, PinnedBase, Recipe, SPEC_INPUTS};
use crate::resolve::ResolvedImage;
use crate::resolve::image::{EnvValue, Layout};
use crate::resolve::labels::FILLED;
use crate::snapshot::Published;

const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";
const BASE_NAME: &str = "org.opencontainers.image.base.name";

/// The differences between the image that is published as `was` and the recipe. The list is never
/// empty.
pub(super) fn changed(
    recipe: &Recipe,
    was: &Version,
    published: &Published,
    parents: &PlannedParents,
) -> Vec<Reason> {
    if published.inputs.is_none() {
        return vec![Reason::NoInputsLabel];
    }
    let mut reasons: Vec<Reason> = base(recipe, published, parents).into_iter().collect();
    reasons.extend(labels(recipe, published));
    if published.runtime.runtime().is_some() {
        reasons.extend(env(recipe, &published.runtime));
        reasons.extend(config(&recipe.image, &published.runtime));
    }
    let parts = published
        .parts
        .as_ref()
        .map(|parts| differences(parts, recipe))
        .unwrap_or_default();
    // The Dockerfile also contains the values that the config records.
    if !parts.is_empty() && (reasons.is_empty() || parts != [DOCKERFILE]) {
        reasons.push(Reason::PartsChanged {
            was: was.clone(),
            parts,
        });
    }
    if reasons.is_empty() {
        reasons.push(Reason::Unrecorded(hidden(&recipe.image)));
    }
    reasons
}

/// True if only the base or the packages changed. False if the published image has no label with
/// the digest of its spec.
pub(super) fn only_base_or_packages_changed(recipe: &Recipe, published: &Published) -> bool {
    published.labels.get(SPEC_INPUTS).map(String::as_str) == Some(recipe.spec_inputs.as_str())
}

fn base(recipe: &Recipe, published: &Published, parents: &PlannedParents) -> Option<Reason> {
    let label = |key: &str| {
        published
            .labels
            .get(key)
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    };
    let (name, digest) = (recipe.base.name()?, label(BASE_DIGEST));
    if let Some(was) = label(BASE_NAME).filter(|was| *was != name) {
        return Some(Reason::OtherBase {
            was: was.to_owned(),
            now: name,
        });
    }
    let now = match &recipe.base {
        PinnedBase::Workspace { parent, .. } => match parents.get(parent)? {
            Some(digest) => digest,
            None => return Some(Reason::BaseRebuilt(parent.clone())),
        },
        PinnedBase::Registry { digest, .. } | PinnedBase::Layout(Layout { digest, .. }) => digest,
        PinnedBase::Scratch | PinnedBase::Local { .. } => return None,
    };
    digest
        .filter(|was| *was != now.as_str())
        .map(|was| Reason::BaseMoved {
            was: was.to_owned(),
            now: now.clone(),
        })
}

/// True if the image has no base. Then every published value comes from its spec, and a value that
/// the spec no longer has was removed.
fn has_no_base(recipe: &Recipe) -> bool {
    recipe.base == PinnedBase::Scratch
}

fn labels(recipe: &Recipe, published: &Published) -> Vec<Reason> {
    let own = &recipe.image.labels;
    let differs = |(key, value): &(&String, &String)| published.labels.get(*key) != Some(*value);
    let mut reasons: Vec<Reason> = own
        .iter()
        .filter(|(key, _)| ![BASE_NAME, BASE_DIGEST].contains(&key.as_str()))
        .filter(differs)
        .map(|(key, _)| Reason::Changed(format!("labels.{key}")))
        .collect();
    if has_no_base(recipe) {
        let filled = |key: &str| [INPUTS, SPEC_INPUTS].contains(&key) || FILLED.contains(&key);
        let removed = published
            .labels
            .keys()
            .filter(|key| !own.contains_key(*key) && !filled(key));
        reasons.extend(removed.map(|key| Reason::Removed(format!("labels.{key}"))));
    }
    reasons
}

fn env(recipe: &Recipe, published: &ImageConfig) -> Vec<Reason> {
    let own = recipe.image.environment();
    let differs = |key: &str, value: &EnvValue| match (value, published.env_value(key)) {
        (_, None) => true,
        (EnvValue::Set(value), Some(was)) => *value != was,
        (EnvValue::Extend { prepend, append }, Some(was)) => {
            !(was.starts_with(prepend.as_str()) && was.ends_with(append.as_str()))
        }
    };
    let mut reasons: Vec<Reason> = own
        .iter()
        .filter(|(key, value)| differs(key, value))
        .map(|(key, _)| Reason::Changed(format!("env.{key}")))
        .collect();
    if has_no_base(recipe) {
        let variables = published.env();
        let keys = variables
            .iter()
            .filter_map(|variable| variable.split('=').next());
        // Both engines add PATH to an image without one.
        let removed = keys.filter(|key| *key != "PATH" && own.iter().all(|(own, _)| own != key));
        reasons.extend(removed.map(|key| Reason::Removed(format!("env.{key}"))));
    }
    reasons
}

/// Applies the spec to the published config, and returns the keys that this changes.
fn config(image: &ResolvedImage, published: &ImageConfig) -> Vec<Reason> {
    let mut expected = published.clone();
    runtime::apply(image, &BTreeMap::new(), &mut expected);
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
    let text_differs = |key: &str| {
        // Some builders remove a trailing slash from a path.
        let clean = |config: &ImageConfig| config.text(key).trim_end_matches('/').to_owned();
        clean(published) != clean(&expected)
    };
    let words_differ = |key: &str| published.words(key) != expected.words(key);
    let keys_differ = |key: &str| keys(published, key) != keys(&expected, key);
    let compared = [
        ("user", text_differs("User")),
        ("workdir", text_differs("WorkingDir")),
        ("stop_signal", text_differs("StopSignal")),
        ("shell", words_differ("Shell")),
        ("entrypoint", words_differ("Entrypoint")),
        ("cmd", words_differ("Cmd")),
        ("expose", keys_differ("ExposedPorts")),
        ("volumes", keys_differ("Volumes")),
        ("healthcheck", check(published) != check(&expected)),
    ];
    compared
        .into_iter()
        .filter(|(_, differs)| *differs)
        .map(|(key, _)| Reason::Changed(format!("config.{key}")))
        .collect()
}

/// The inputs of an image that its config does not record.
fn hidden(image: &ResolvedImage) -> Vec<&'static str> {
    let parts = [
        ("the Dockerfile", true),
        ("a file", !image.files.is_empty()),
        ("a certificate", !image.certificates.is_empty()),
        ("the packages", image.has_packages()),
        ("a step", !image.run.is_empty()),
        ("the platforms", !image.platforms.is_empty()),
    ];
    let present = parts.into_iter().filter(|(_, has)| *has);
    present.map(|(part, _)| part).collect()
}
