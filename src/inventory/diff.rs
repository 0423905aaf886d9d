//! The difference between two images.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::layer::{LayerFile, LayerFileKind};
use super::merged::{ImageFiles, Inventory};
use super::package::PackageKind;
use crate::oci::ImageConfig;

/// The keys of the runtime config that are compared as they are.
const SETTINGS: [&str; 9] = [
    "User",
    "WorkingDir",
    "Entrypoint",
    "Cmd",
    "ExposedPorts",
    "Volumes",
    "StopSignal",
    "Healthcheck",
    "Shell",
];

/// The content of an image, as far as it is compared.
#[derive(Debug)]
pub struct ImageContent {
    /// The config of the image.
    pub config: ImageConfig,
    /// The files of all layers.
    pub files: ImageFiles,
    /// The packages.
    pub inventory: Inventory,
    /// The size of the compressed layers in bytes.
    pub size: u64,
}

/// The difference between two images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageDifference {
    /// The base in the labels.
    pub base: BaseChange,
    /// The differences of the configs.
    pub config: ConfigDifference,
    /// The packages that only one image has, or that have different versions.
    pub packages: Entries<PackageEntry, PackageChange>,
    /// The files that only one image has, or that differ.
    pub files: Entries<FileDescription, FileChange>,
    /// The size of the compressed layers.
    pub size: SizeChange,
}

/// A value in the first and in the second image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change<T> {
    /// The value in the first image.
    pub from: T,
    /// The value in the second image.
    pub to: T,
}

/// The bases of both images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BaseChange {
    /// The base of the first image.
    pub from: Option<BaseLabels>,
    /// The base of the second image.
    pub to: Option<BaseLabels>,
    /// The difference of the bases, if it was requested and they differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<Box<ImageDifference>>,
}

/// The base of an image, as its labels name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BaseLabels {
    /// The reference.
    pub name: Option<String>,
    /// The digest in the label; `None` if the image lacks the label.
    pub digest: Option<String>,
}

/// The entries of a part that only one image has, and those that differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entries<T, C> {
    /// The entries that only the second image has.
    pub added: Vec<T>,
    /// The entries that only the first image has.
    pub removed: Vec<T>,
    /// The entries that differ.
    pub changed: Vec<C>,
}

impl<T, C> Default for Entries<T, C> {
    fn default() -> Self {
        Self {
            added: Vec::new(),
            removed: Vec::new(),
            changed: Vec::new(),
        }
    }
}

impl<T, C> Entries<T, C> {
    /// True if there is no difference.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// The difference between two configs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfigDifference {
    /// The environment.
    pub env: Entries<NamedValue, NamedChange>,
    /// The labels that only one config has, or that have different values.
    pub labels: Entries<NamedValue, NamedChange>,
    /// The other keys, and the platform.
    pub settings: Entries<NamedValue, NamedChange>,
}

/// A part of a config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NamedValue {
    /// The name of the variable, label or key.
    pub name: String,
    /// The value.
    pub value: Value,
}

/// A part of a config that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NamedChange {
    /// The name of the variable, label or key.
    pub name: String,
    /// The value in both images.
    #[serde(flatten)]
    pub value: Change<Value>,
}

/// A package that only one image has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageEntry {
    /// The name.
    pub name: String,
    /// The package manager.
    #[serde(rename = "type")]
    pub kind: PackageKind,
    /// The version.
    pub version: String,
}

/// A package with another version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageChange {
    /// The name.
    pub name: String,
    /// The package manager.
    #[serde(rename = "type")]
    pub kind: PackageKind,
    /// The version in both images.
    #[serde(flatten)]
    pub version: Change<String>,
    /// True if the second version is known to be a security update.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub security: bool,
}

/// A file of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileDescription {
    /// The path, which starts with `/`.
    pub path: String,
    /// The properties.
    #[serde(flatten)]
    pub file: ComparedProperties,
}

/// A file that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// The path, which starts with `/`.
    pub path: String,
    /// The properties in both images.
    #[serde(flatten)]
    pub file: Change<ComparedProperties>,
}

/// The properties of a file that are compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComparedProperties {
    /// The type: `file`, `directory`, `symlink`, `link` or `special`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The permission bits in octal.
    pub mode: String,
    /// The user and the group, as numbers.
    pub owner: String,
    /// The length of a regular file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The digest of a regular file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The target of a link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// The size of both images in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SizeChange {
    /// The size of the first image.
    pub from: u64,
    /// The size of the second image.
    pub to: u64,
    /// The growth; negative if the second image is smaller.
    pub change: i128,
}

impl ImageDifference {
    /// Compares two images.
    #[must_use]
    pub fn between(from: &ImageContent, to: &ImageContent) -> Self {
        Self {
            base: BaseChange {
                from: base(&from.config),
                to: base(&to.config),
                diff: None,
            },
            config: ConfigDifference {
                env: values(&env(&from.config), &env(&to.config)),
                labels: values(&labels(&from.config), &labels(&to.config)),
                settings: values(&settings(&from.config), &settings(&to.config)),
            },
            packages: packages(&from.inventory, &to.inventory),
            files: files(from.files.files(), to.files.files()),
            size: SizeChange {
                from: from.size,
                to: to.size,
                change: i128::from(to.size) - i128::from(from.size),
            },
        }
    }

    /// Marks the changed packages of the distribution whose name and second version are a security
    /// update, in addition to those that are marked.
    pub fn mark_security(&mut self, is_security: impl Fn(&str, &str) -> bool) {
        for one in &mut self.packages.changed {
            one.security |=
                one.kind.is_of_distribution() && is_security(&one.name, &one.version.to);
        }
    }

    /// True if the images have the same base, config, packages and files.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let config = &self.config;
        self.base.from == self.base.to
            && config.env.is_empty()
            && config.labels.is_empty()
            && config.settings.is_empty()
            && self.packages.is_empty()
            && self.files.is_empty()
    }
}

fn base(config: &ImageConfig) -> Option<BaseLabels> {
    let label = |name: &str| {
        let value = config.label(&format!("org.opencontainers.image.base.{name}"));
        value.filter(|value| !value.is_empty()).map(str::to_owned)
    };
    let labels = BaseLabels {
        name: label("name"),
        digest: label("digest"),
    };
    (labels.name.is_some() || labels.digest.is_some()).then_some(labels)
}

fn env(config: &ImageConfig) -> BTreeMap<String, Value> {
    let runtime = config.runtime().and_then(|runtime| runtime.get("Env"));
    let lines = runtime.and_then(Value::as_array).into_iter().flatten();
    let pairs = lines.filter_map(|line| line.as_str()?.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect()
}

fn labels(config: &ImageConfig) -> BTreeMap<String, Value> {
    let labels = config.labels().into_iter();
    labels.map(|(name, value)| (name, value.into())).collect()
}

fn settings(config: &ImageConfig) -> BTreeMap<String, Value> {
    let is_set = |value: &Value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    };
    let value = |key: &str| config.runtime()?.get(key).filter(|value| is_set(value));
    let settings = SETTINGS
        .iter()
        .filter_map(|key| Some(((*key).to_owned(), value(key)?.clone())));
    let platform = config.platform().to_string();
    settings
        .chain([("Platform".to_owned(), platform.into())])
        .collect()
}

fn values(
    from: &BTreeMap<String, Value>,
    to: &BTreeMap<String, Value>,
) -> Entries<NamedValue, NamedChange> {
    let entry = |(name, value): (&String, &Value)| NamedValue {
        name: name.clone(),
        value: value.clone(),
    };
    let change = |name: &String, from: &Value, to: &Value| NamedChange {
        name: name.clone(),
        value: Change {
            from: from.clone(),
            to: to.clone(),
        },
    };
    compared(from, to, entry, change)
}

/// Compares two maps by their keys.
fn compared<K: Ord, V: PartialEq, T, C>(
    from: &BTreeMap<K, V>,
    to: &BTreeMap<K, V>,
    entry: impl Fn((&K, &V)) -> T,
    change: impl Fn(&K, &V, &V) -> C,
) -> Entries<T, C> {
    let only = |these: &BTreeMap<K, V>, those: &BTreeMap<K, V>| -> Vec<T> {
        let only = these.iter().filter(|(key, _)| !those.contains_key(key));
        only.map(&entry).collect()
    };
    let both = from
        .iter()
        .filter_map(|(key, value)| Some((key, value, to.get(key)?)));
    let differing = both.filter(|(_, from, to)| from != to);
    Entries {
        added: only(to, from),
        removed: only(from, to),
        changed: differing
            .map(|(key, from, to)| change(key, from, to))
            .collect(),
    }
}

/// Compares packages. Several versions of a package can be installed, for example kernels.
fn packages(from: &Inventory, to: &Inventory) -> Entries<PackageEntry, PackageChange> {
    let (from, to) = (versions(from), versions(to));
    let names: BTreeSet<_> = from.keys().chain(to.keys()).copied().collect();
    let none = BTreeSet::new();
    let mut entries = Entries::default();
    for key in names {
        let (kind, name) = key;
        let (old, new) = (
            from.get(&key).unwrap_or(&none),
            to.get(&key).unwrap_or(&none),
        );
        let removed: Vec<&String> = old.difference(new).collect();
        let added: Vec<&String> = new.difference(old).collect();
        if let ([from], [to]) = (removed.as_slice(), added.as_slice()) {
            entries.changed.push(PackageChange {
                name: name.to_owned(),
                kind,
                version: Change {
                    from: (*from).clone(),
                    to: (*to).clone(),
                },
                security: false,
            });
            continue;
        }
        let entry = |version: &String| PackageEntry {
            name: name.to_owned(),
            kind,
            version: version.clone(),
        };
        entries.removed.extend(removed.into_iter().map(entry));
        entries.added.extend(added.into_iter().map(entry));
    }
    entries
}

/// The installed versions of each package.
fn versions(inventory: &Inventory) -> BTreeMap<(PackageKind, &str), BTreeSet<String>> {
    let mut versions: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for package in &inventory.packages {
        let key = (package.kind, package.name.as_str());
        versions
            .entry(key)
            .or_default()
            .insert(package.full_version());
    }
    versions
}

fn files(
    from: &BTreeMap<String, LayerFile>,
    to: &BTreeMap<String, LayerFile>,
) -> Entries<FileDescription, FileChange> {
    let entry = |(path, file): (&String, &LayerFile)| FileDescription {
        path: format!("/{path}"),
        file: properties(file),
    };
    let change = |path: &String, from: &LayerFile, to: &LayerFile| FileChange {
        path: format!("/{path}"),
        file: Change {
            from: properties(from),
            to: properties(to),
        },
    };
    compared(from, to, entry, change)
}

fn properties(file: &LayerFile) -> ComparedProperties {
    let (kind, size, digest, target) = match &file.kind {
        LayerFileKind::Directory => ("directory", None, None, None),
        LayerFileKind::File { size, digest } => {
            let digest = digest.as_ref().map(ToString::to_string);
            ("file", Some(*size), digest, None)
        }
        LayerFileKind::Symlink { target } => ("symlink", None, None, Some(target.clone())),
        LayerFileKind::Link { target } => ("link", None, None, Some(format!("/{target}"))),
        LayerFileKind::Special => ("special", None, None, None),
    };
    ComparedProperties {
        kind,
        mode: format!("{:04o}", file.mode),
        owner: format!("{}:{}", file.uid, file.gid),
        size,
        digest,
        target,
    }
}

#[cfg(test)]
mod tests {
    use super::super::package::Package;
    use super::*;

    fn inventory(packages: &[(&str, &str)]) -> Inventory {
        let package = |(name, version): &(&str, &str)| {
            Package::new(PackageKind::Deb, (*name).to_owned(), (*version).to_owned())
        };
        Inventory {
            packages: packages.iter().map(package).collect(),
            ..Inventory::default()
        }
    }

    #[test]
    fn packages_are_compared_by_name_and_each_version_counts() {
        let from = inventory(&[
            ("a", "1"),
            ("b", "1"),
            ("kernel", "1"),
            ("kernel", "2"),
            ("x", "1"),
        ]);
        let to = inventory(&[
            ("a", "2"),
            ("c", "1"),
            ("kernel", "2"),
            ("kernel", "3"),
            ("x", "1"),
            ("x", "2"),
        ]);
        let found = packages(&from, &to);
        let text = |entries: &[PackageEntry]| -> Vec<String> {
            let entries = entries.iter();
            entries
                .map(|one| format!("{} {}", one.name, one.version))
                .collect()
        };
        assert_eq!(text(&found.added), ["c 1", "x 2"]);
        assert_eq!(text(&found.removed), ["b 1"]);
        let changed = found.changed.iter();
        let changed: Vec<String> = changed
            .map(|one| format!("{} {} {}", one.name, one.version.from, one.version.to))
            .collect();
        assert_eq!(changed, ["a 1 2", "kernel 1 3"]);
    }

    #[test]
    fn the_same_image_has_no_difference() {
        let config =
            ImageConfig::parse(br#"{"os": "linux", "config": {"Env": ["A=1"], "Cmd": []}}"#);
        let content = |config: ImageConfig, size| ImageContent {
            config,
            files: ImageFiles::default(),
            inventory: inventory(&[("a", "1")]),
            size,
        };
        let config = config.unwrap();
        let same =
            ImageDifference::between(&content(config.clone(), 1), &content(config.clone(), 2));
        assert!(same.is_empty());
        assert_eq!(same.size.change, 1);
        let other =
            ImageConfig::parse(br#"{"os": "linux", "config": {"Env": ["A=2"], "User": "1"}}"#);
        let differing = ImageDifference::between(&content(config, 1), &content(other.unwrap(), 1));
        assert!(!differing.is_empty());
        assert_eq!(differing.config.env.changed[0].value.to, "2");
        assert_eq!(differing.config.settings.added[0].name, "User");
    }
}
