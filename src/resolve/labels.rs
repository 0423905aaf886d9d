//! Labels: the spec's own, and those that are filled in from it (7-rules 8).

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;

use crate::spec::values::LabelSpec;

/// The label with the digest of everything that went into an image. Only golden sets it.
pub const INPUTS: &str = "dev.golden.inputs";
/// The label with the digest of the inputs without the packages and the version of the base: if it is unchanged, then only
/// these changed. Only golden sets it.
pub const SPEC_INPUTS: &str = "dev.golden.inputs.spec";

/// Labels that are filled in as a rule.
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

/// The labels of an image, and which of those that are filled in were dropped.
#[must_use]
pub fn labels(
    spec: &IndexMap<String, LabelSpec>,
    name: &str,
    version: &str,
    description: Option<&str>,
) -> (BTreeMap<String, String>, BTreeSet<String>) {
    let mut labels = BTreeMap::new();
    let mut dropped = BTreeSet::new();
    for (key, value) in spec {
        match value {
            LabelSpec::Set(text) => {
                labels.insert(key.clone(), text.clone());
            }
            LabelSpec::Dropped if FILLED.contains(&key.as_str()) => {
                dropped.insert(key.clone());
            }
            LabelSpec::Dropped => {}
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
