//! Labels: those that the spec sets, and the standard labels that golden fills in.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;

use crate::config_files::values::OrDropped;

/// The label with the inputs digest: the digest of everything that the image is built from. Only
/// golden sets it.
pub const INPUTS: &str = "dev.golden.inputs";
/// The label with the digest of the inputs without packages and base version. If it is unchanged,
/// only packages or the base have changed. Only golden sets it.
pub const SPEC_INPUTS: &str = "dev.golden.inputs.spec";

/// The standard labels, which golden fills in unless the spec drops them.
pub const FILLED: [&str; 10] = [
    "org.opencontainers.image.title",
    "org.opencontainers.image.description",
    "org.opencontainers.image.version",
    "org.opencontainers.image.created",
    "org.opencontainers.image.source",
    "org.opencontainers.image.revision",
    "org.opencontainers.image.base.name",
    "org.opencontainers.image.base.digest",
    "version",
    "description",
];

/// The labels of an image, and the keys of the standard labels that the spec drops.
#[must_use]
pub fn labels(
    spec: &IndexMap<String, OrDropped<String>>,
    name: &str,
    version: &str,
    description: Option<&str>,
) -> (BTreeMap<String, String>, BTreeSet<String>) {
    let mut labels = BTreeMap::new();
    let mut dropped = BTreeSet::new();
    for (key, value) in spec {
        match value {
            OrDropped::Value(text) => {
                labels.insert(key.clone(), text.clone());
            }
            OrDropped::Dropped if FILLED.contains(&key.as_str()) => {
                dropped.insert(key.clone());
            }
            OrDropped::Dropped => {}
        }
    }
    let mut fill = |key: &str, value: &str| {
        if !dropped.contains(key) {
            labels
                .entry(key.to_owned())
                .or_insert_with(|| value.to_owned());
        }
    };
    fill("org.opencontainers.image.title", name);
    fill("org.opencontainers.image.version", version);
    fill("version", version);
    if let Some(description) = description {
        fill("org.opencontainers.image.description", description);
        fill("description", description);
    }
    (labels, dropped)
}
