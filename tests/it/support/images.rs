//! Resolved images written by hand.

use std::collections::{BTreeMap, BTreeSet};

use golden::oci::Content;
use golden::resolve::ResolvedImage;
use golden::resolve::image::{
    Base, Config, EnvValue, Family, FamilySource, FileEntry, FileKind, FileOwner, Packages,
    Provenance, RunStep, SpecLocations, TrustOptions,
};
use golden::tags::TagRules;

/// An empty image.
pub(crate) fn image(family: Family, base: Base) -> ResolvedImage {
    ResolvedImage {
        name: crate::docker::recipe::unique().parse().unwrap(),
        source: "image.toml".into(),
        row: BTreeMap::new(),
        version: semver::Version::new(1, 0, 0),
        variant: None,
        description: None,
        base,
        family,
        family_source: FamilySource::Spec,
        template: family.as_str().to_owned(),
        template_written: false,
        platforms: Vec::new(),
        labels: BTreeMap::new(),
        suppressed_labels: BTreeSet::new(),
        env: Vec::new(),
        config: Config::default(),
        certificates: Vec::new(),
        trust: TrustOptions::default(),
        packages: Packages::default(),
        files: Vec::new(),
        run: Vec::new(),
        own_withdrawn: Vec::new(),
        tags: TagRules::default(),
        tests: Vec::new(),
        lifecycle: golden::resolve::lifecycle::LifecycleRules::default(),
        channels: std::collections::BTreeMap::new(),
        provenance: Provenance::default(),
        locations: SpecLocations::default(),
    }
}

/// A base with this name.
pub(crate) fn base(reference: &str) -> Base {
    Base::Reference(reference.parse().unwrap())
}

/// A variable with a value.
pub(crate) fn set(key: &str, value: &str) -> (String, EnvValue) {
    (key.to_owned(), EnvValue::Set(value.to_owned()))
}

/// A file, directory or link.
pub(crate) fn entry(path: &str, mode: u32, owner: FileOwner, kind: FileKind) -> FileEntry {
    FileEntry::new(path, mode, owner, kind, path)
}

/// A regular file's content.
pub(crate) fn text(content: &str) -> FileKind {
    FileKind::File(Content::inline(content.as_bytes()))
}

/// Owners by number.
pub(crate) const fn numeric(uid: u32, gid: u32) -> FileOwner {
    FileOwner::Numeric { uid, gid }
}

/// Owners by name.
pub(crate) fn named(user: &str, group: &str) -> FileOwner {
    FileOwner::Named {
        user: user.to_owned(),
        group: Some(group.to_owned()),
    }
}

/// A step; `None` as the user means the default user.
pub(crate) fn step(script: &str, user: Option<&str>) -> RunStep {
    RunStep {
        name: None,
        script: script.to_owned(),
        user: user.map(str::to_owned),
        secrets: Vec::new(),
        ssh: false,
        location: None,
    }
}

pub(crate) fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}
