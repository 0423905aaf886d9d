//! Writes `docker-bake.json`: the arguments, labels and tags with which `docker buildx bake`
//! builds, from rendered Dockerfiles, the same image as golden
//! (<https://docs.docker.com/build/bake/reference/>).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// The name of the file in a rendered directory.
pub const BAKE: &str = "docker-bake.json";

/// Labels with data of the commit of the spec. A file of the same commit cannot contain them, so a
/// check ignores them.
const OF_THE_COMMIT: [&str; 2] = [
    "org.opencontainers.image.created",
    "org.opencontainers.image.revision",
];

/// One image of a rendered directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RenderedTarget {
    /// The name of the target; it may contain any character.
    pub name: String,
    /// The file name of the Dockerfile.
    pub dockerfile: String,
    /// The build arguments, by name.
    pub args: BTreeMap<String, String>,
    /// The labels that are not in the Dockerfile.
    pub labels: BTreeMap<String, String>,
    /// The platforms; if empty, the platform of the builder.
    pub platforms: Vec<String>,
    /// The references of the image.
    pub tags: Vec<String>,
}

/// Writes the file for the images of one directory; `kept` are targets of an earlier file.
#[must_use]
pub fn bake(targets: &[RenderedTarget], kept: Map<String, Value>) -> String {
    let mut names: BTreeSet<String> = kept.keys().cloned().collect();
    let mut all: BTreeMap<String, Value> = kept.into_iter().collect();
    for target in targets {
        let name = unique(&target.name, &mut names);
        let texts = |map: &BTreeMap<String, String>| -> Value {
            map.iter()
                .map(|(key, value)| (escaped(key), Value::from(escaped(value))))
                .collect()
        };
        let mut one = json!({
            "context": ".",
            "dockerfile": target.dockerfile,
            "args": texts(&target.args),
            "labels": texts(&target.labels),
            "tags": target.tags,
            // With an attestation, a single image would become an index.
            "attest": ["type=provenance,disabled=true", "type=sbom,disabled=true"],
        });
        if !target.platforms.is_empty() {
            one["platforms"] = json!(target.platforms);
        }
        all.insert(name, one);
    }
    let names: Vec<&String> = all.keys().collect();
    let file = json!({ "group": { "default": { "targets": names } }, "target": all });
    let text = serde_json::to_string_pretty(&file)
        .unwrap_or_else(|error| unreachable!("all keys are strings: {error}"));
    format!("{text}\n")
}

/// The targets of a bake file whose Dockerfiles `is_kept` accepts; empty if `text` is not a bake
/// file.
#[must_use]
pub fn targets_of(text: &[u8], is_kept: impl Fn(&str) -> bool) -> Map<String, Value> {
    let file: Value = serde_json::from_slice(text).unwrap_or_default();
    let targets = file
        .get("target")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    let has_kept_dockerfile = |(_, target): &(String, Value)| {
        target
            .get("dockerfile")
            .and_then(Value::as_str)
            .is_some_and(&is_kept)
    };
    targets.into_iter().filter(has_kept_dockerfile).collect()
}

/// The file without the labels of the commit, for comparison by a check; `None` if `text` is not a
/// bake file.
#[must_use]
pub fn comparable(text: &[u8]) -> Option<Value> {
    let mut file: Value = serde_json::from_slice(text).ok()?;
    for target in file.get_mut("target")?.as_object_mut()?.values_mut() {
        if let Some(labels) = target.get_mut("labels").and_then(Value::as_object_mut) {
            labels.retain(|key, _| !OF_THE_COMMIT.contains(&key.as_str()));
        }
    }
    Some(file)
}

/// A unique target name of letters, digits, `_` and `-`.
fn unique(name: &str, taken: &mut BTreeSet<String>) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '_' {
            c
        } else {
            '-'
        }
    };
    let plain: String = name.chars().map(plain).collect();
    let mut candidate = plain.clone();
    let mut number = 2;
    while !taken.insert(candidate.clone()) {
        candidate = format!("{plain}-{number}");
        number += 1;
    }
    candidate
}

/// Escapes `${` and `%{`, which bake would expand.
fn escaped(text: &str) -> String {
    text.replace("${", "$${").replace("%{", "%%{")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(name: &str) -> RenderedTarget {
        RenderedTarget {
            name: name.to_owned(),
            dockerfile: "Dockerfile".to_owned(),
            ..RenderedTarget::default()
        }
    }

    #[test]
    fn each_image_has_a_target_and_a_group_has_them_all() {
        let text = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
        let first = RenderedTarget {
            args: text("GOLDEN_LF", "\n"),
            labels: text("a=b", "${HOME} %{x}"),
            platforms: vec!["linux/arm64".to_owned()],
            tags: vec!["localhost/app:1.2.3".to_owned()],
            ..target("app")
        };
        insta::assert_snapshot!(bake(
            &[first, target("app.slim"), target("app-slim")],
            Map::new()
        ));
    }

    #[test]
    fn targets_of_other_images_are_kept() {
        let other = RenderedTarget {
            dockerfile: "Dockerfile.slim".to_owned(),
            ..target("app.slim")
        };
        let before = bake(&[target("app"), other.clone()], Map::new());
        let kept = targets_of(before.as_bytes(), |dockerfile| dockerfile != "Dockerfile");
        assert_eq!(
            bake(&[target("app")], kept),
            bake(&[target("app"), other], Map::new())
        );
        assert!(targets_of(b"nonsense", |_| true).is_empty());
    }

    #[test]
    fn a_comparison_ignores_the_labels_of_the_commit() {
        let with = |created: &str, other: &str| {
            let labels = [(OF_THE_COMMIT[0], created), ("version", other)];
            let labels = labels
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into();
            comparable(
                bake(
                    &[RenderedTarget {
                        labels,
                        ..target("app")
                    }],
                    Map::new(),
                )
                .as_bytes(),
            )
        };
        assert_eq!(with("1", "1.0.0"), with("2", "1.0.0"));
        assert_ne!(with("1", "1.0.0"), with("1", "2.0.0"));
        assert_eq!(comparable(b"{}"), None);
    }
}
