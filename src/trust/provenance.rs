//! The provenance of an image: a SLSA v1 predicate (<https://slsa.dev/spec/v1.0/provenance>). The
//! guide describes the parameters of the build type in the topic `trust`.

use std::collections::BTreeMap;

use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::oci::{ImageConfig, rfc3339};
use crate::reference::Digest;

/// The URI of the build type.
pub const BUILD_TYPE: &str = "https://golden.dev/build/v1";
/// The builder of images that no known CI system builds.
pub const LOCAL_BUILDER: &str = "https://golden.dev/builders/local";

/// The label with the commit of an image.
const REVISION: &str = "org.opencontainers.image.revision";
const CREATED: &str = "org.opencontainers.image.created";
const BASE_NAME: &str = "org.opencontainers.image.base.name";
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";
/// The end of the revision of a checkout with changes that are not committed.
const DIRTY: &str = "-dirty";

/// The parameters that the user of golden controls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalParameters {
    /// The name of the image in the workspace.
    pub image: String,
    /// The published version.
    pub version: Version,
    /// The variant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The values of the matrix row, by axis.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub row: BTreeMap<String, String>,
    /// The platforms of the spec; empty for the platform of the engine.
    #[serde(default)]
    pub platforms: Vec<String>,
    /// The variables of `--set`.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// The names of the secrets that the steps require. Their values are never recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// The spec of the image.
    pub spec: SpecSource,
}

/// The location and the digest of a spec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecSource {
    /// The git repository, as `git+URL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// The directory of the workspace in the repository; empty for its top.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub workspace: String,
    /// The path of image.toml in the repository.
    pub path: String,
    /// The SHA-256 of image.toml in hexadecimal digits.
    pub sha256: String,
}

/// The parameters that golden sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InternalParameters {
    /// The engine that built the image; absent if the statement was attached later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// The version of golden.
    pub golden: String,
    /// The inputs digest.
    #[serde(rename = "dev.golden.inputs")]
    pub inputs: Digest,
    /// The time in the image, in RFC 3339: that of the commit, or `SOURCE_DATE_EPOCH`.
    pub created: String,
}

/// A resource descriptor of in-toto.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// The name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The location.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// The digests, by algorithm.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub digest: BTreeMap<String, String>,
    /// The media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// More about the resource.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, Value>,
}

impl Resource {
    /// A resource with a name and a digest.
    #[must_use]
    pub fn named(name: impl Into<String>, digest: &Digest) -> Self {
        let digest = (digest.algorithm().to_owned(), digest.hex().to_owned());
        Self {
            name: Some(name.into()),
            digest: BTreeMap::from([digest]),
            ..Self::default()
        }
    }

    /// The same resource with a location.
    #[must_use]
    pub fn at(self, uri: impl Into<String>) -> Self {
        let uri = Some(uri.into());
        Self { uri, ..self }
    }

    /// The same resource with an annotation.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.annotations.insert(key.to_owned(), value.into());
        self
    }

    /// The first digest; `None` if it is not a digest of content, such as that of a git commit.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        let (algorithm, hex) = self.digest.iter().next()?;
        format!("{algorithm}:{hex}").parse().ok()
    }
}

/// The checkout that an image is built from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceCheckout {
    /// The git repository, as `git+URL`.
    pub uri: Option<String>,
    /// The commit that is checked out.
    pub head: Option<String>,
    /// The commit that changed the files of the image, as its label shows it.
    pub revision: Option<String>,
    /// The time of that commit, or `SOURCE_DATE_EPOCH`, in seconds since 1970.
    pub created: i64,
}

/// The facts about the build of an image that are known before it is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildFacts {
    /// The URI of the system that builds.
    pub builder: String,
    /// The URI of the CI run.
    pub invocation: Option<String>,
    /// The parameters of the user.
    pub external: ExternalParameters,
    /// The version of golden.
    pub golden: String,
    /// The inputs digest.
    pub inputs: Digest,
    /// The checkout.
    pub checkout: SourceCheckout,
    /// The base, the files, the certificates and the templates.
    pub dependencies: Vec<Resource>,
}

/// The facts about a build that the published image shows.
#[derive(Debug, Clone)]
pub struct BuiltFacts<'a> {
    /// The engine; `None` if this run did not build the image.
    pub engine: Option<&'a str>,
    /// The config of the image, or of its first platform.
    pub config: &'a ImageConfig,
    /// The bills of materials.
    pub byproducts: Vec<Resource>,
}

impl BuildFacts {
    /// The predicate of the statement. It contains no time of its own, so that the same build gives
    /// the same bytes.
    #[must_use]
    pub fn predicate(&self, built: &BuiltFacts<'_>) -> Value {
        let label = |key| built.config.label(key).filter(|text| !text.is_empty());
        // An image that was built at an earlier commit has the label of that commit.
        let earlier =
            label(REVISION).filter(|text| Some(*text) != self.checkout.revision.as_deref());
        let commit = earlier.or(self.checkout.head.as_deref());
        let is_dirty = label(REVISION)
            .or(self.checkout.revision.as_deref())
            .is_some_and(|revision| revision.ends_with(DIRTY));
        let created = match earlier {
            Some(_) => label(CREATED).map(str::to_owned),
            None => None,
        };
        let internal = InternalParameters {
            engine: built.engine.map(str::to_owned),
            golden: self.golden.clone(),
            inputs: self.inputs.clone(),
            created: created.unwrap_or_else(|| rfc3339(self.checkout.created)),
        };
        let git = commit.map(|commit| {
            let commit = commit.trim_end_matches(DIRTY).to_owned();
            let git = Resource {
                name: Some("git".to_owned()),
                uri: self.checkout.uri.clone(),
                digest: BTreeMap::from([("gitCommit".to_owned(), commit)]),
                ..Resource::default()
            };
            if is_dirty {
                git.with("dirty", true)
            } else {
                git
            }
        });
        let mut dependencies: Vec<Resource> = git.into_iter().collect();
        dependencies.extend(self.dependencies.iter().cloned());
        // The digest of a parent in the workspace is known when the image is built.
        if let (Some(name), Some(digest)) = (label(BASE_NAME), label(BASE_DIGEST))
            && let Ok(digest) = digest.parse::<Digest>()
            && !dependencies.iter().any(|known| known.is(&digest))
        {
            dependencies.insert(
                usize::from(commit.is_some()),
                Resource::named(name, &digest),
            );
        }
        let mut details = json!({
            "builder": { "id": self.builder, "version": { "golden": self.golden } },
        });
        if let Some(invocation) = &self.invocation {
            details["metadata"] = json!({ "invocationId": invocation });
        }
        if !built.byproducts.is_empty() {
            details["byproducts"] = json!(built.byproducts);
        }
        json!({
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": self.external,
                "internalParameters": internal,
                "resolvedDependencies": dependencies,
            },
            "runDetails": details,
        })
    }
}

impl Resource {
    /// True if the resource has this digest.
    fn is(&self, digest: &Digest) -> bool {
        self.digest.get(digest.algorithm()).map(String::as_str) == Some(digest.hex())
    }
}

/// True if the predicate of a provenance statement, by any program, names the type of the build and
/// the builder.
#[must_use]
pub fn describes_a_build(predicate: &Value) -> bool {
    ["/buildDefinition/buildType", "/runDetails/builder/id"]
        .iter()
        .filter_map(|field| predicate.pointer(field)?.as_str())
        .filter(|text| !text.is_empty())
        .count()
        == 2
}

/// A build as a provenance statement of golden describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedBuild {
    /// The parameters of the user.
    pub external: ExternalParameters,
    /// The parameters of golden.
    pub internal: InternalParameters,
    /// The resources that the build used.
    pub dependencies: Vec<Resource>,
}

/// The reason why a build cannot be read from a provenance statement.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Another program built the image, or another version of golden.
    #[error("its build type is {0}, not {BUILD_TYPE}")]
    BuildType(String),
    /// A parameter is missing or has another type.
    #[error("it is not complete: {0}")]
    Malformed(#[from] serde_json::Error),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProvenanceStatement {
    predicate: Predicate,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Predicate {
    build_definition: BuildDefinition,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BuildDefinition {
    build_type: String,
    external_parameters: Value,
    internal_parameters: Value,
    #[serde(default)]
    resolved_dependencies: Vec<Resource>,
}

impl RecordedBuild {
    /// Reads the build from a statement. Fails if golden did not write it.
    pub fn parse(statement: &[u8]) -> Result<Self, RecordError> {
        let statement: ProvenanceStatement = serde_json::from_slice(statement)?;
        let definition = statement.predicate.build_definition;
        if definition.build_type != BUILD_TYPE {
            return Err(RecordError::BuildType(definition.build_type));
        }
        Ok(Self {
            external: serde_json::from_value(definition.external_parameters)?,
            internal: serde_json::from_value(definition.internal_parameters)?,
            dependencies: definition.resolved_dependencies,
        })
    }

    /// The commit of the checkout, and true if the checkout had changes that were not committed.
    #[must_use]
    pub fn commit(&self) -> Option<(&str, bool)> {
        self.dependencies.iter().find_map(|resource| {
            let commit = resource.digest.get("gitCommit")?;
            let is_dirty = resource.annotations.get("dirty") == Some(&Value::Bool(true));
            Some((commit.as_str(), is_dirty))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> BuildFacts {
        BuildFacts {
            builder: LOCAL_BUILDER.to_owned(),
            invocation: None,
            external: ExternalParameters {
                image: "app".to_owned(),
                version: Version::new(1, 2, 3),
                variant: None,
                row: BTreeMap::new(),
                platforms: vec!["linux/amd64".to_owned()],
                set: BTreeMap::new(),
                secrets: vec!["TOKEN".to_owned()],
                spec: SpecSource {
                    uri: Some("git+https://example.com/a.git".to_owned()),
                    workspace: String::new(),
                    path: "app/image.toml".to_owned(),
                    sha256: "0".repeat(64),
                },
            },
            golden: "1.0.0".to_owned(),
            inputs: Digest::of(b"inputs"),
            checkout: SourceCheckout {
                uri: Some("git+https://example.com/a.git".to_owned()),
                head: Some("b".repeat(40)),
                revision: Some("a".repeat(40)),
                created: 0,
            },
            dependencies: vec![Resource::named("golden.toml", &Digest::of(b"golden.toml"))],
        }
    }

    fn recorded(labels: &Value) -> RecordedBuild {
        let config = json!({ "config": { "Labels": labels } }).to_string();
        let config = ImageConfig::parse(config.as_bytes()).unwrap();
        let predicate = facts().predicate(&BuiltFacts {
            engine: Some("embedded"),
            config: &config,
            byproducts: Vec::new(),
        });
        RecordedBuild::parse(json!({ "predicate": predicate }).to_string().as_bytes()).unwrap()
    }

    #[test]
    fn the_commit_is_that_of_the_checkout_that_built_the_image() {
        let (a, b, c) = ("a".repeat(40), "b".repeat(40), "c".repeat(40));
        let time = "2026-01-02T00:00:00Z";
        for (labels, commit, is_dirty, created) in [
            (json!({}), &b, false, "1970-01-01T00:00:00Z"),
            (
                json!({ REVISION: a, CREATED: time }),
                &b,
                false,
                "1970-01-01T00:00:00Z",
            ),
            (json!({ REVISION: c, CREATED: time }), &c, false, time),
            (
                json!({ REVISION: format!("{c}-dirty"), CREATED: time }),
                &c,
                true,
                time,
            ),
        ] {
            let recorded = recorded(&labels);
            assert_eq!(recorded.commit(), Some((commit.as_str(), is_dirty)));
            assert_eq!(recorded.internal.created, created);
            assert_eq!(recorded.external, facts().external);
        }
    }

    #[test]
    fn the_digest_of_a_parent_comes_from_the_labels_of_the_image() {
        let digest = Digest::of(b"parent");
        let recorded =
            recorded(&json!({ BASE_NAME: "parent:1.0.0", BASE_DIGEST: digest.as_str() }));
        let names: Vec<_> = recorded
            .dependencies
            .iter()
            .map(|it| it.name.as_deref())
            .collect();
        assert_eq!(
            names,
            [Some("git"), Some("parent:1.0.0"), Some("golden.toml")]
        );
    }

    #[test]
    fn a_predicate_describes_a_build_if_it_names_the_builder_and_the_type() {
        let definition = json!({ "buildType": BUILD_TYPE });
        let details = json!({ "builder": { "id": LOCAL_BUILDER } });
        for (predicate, expected) in [
            (
                json!({ "buildDefinition": definition, "runDetails": details }),
                true,
            ),
            (json!({ "buildDefinition": definition }), false),
            (json!({ "runDetails": details }), false),
            (
                json!({ "buildDefinition": { "buildType": "" }, "runDetails": details }),
                false,
            ),
            (json!(null), false),
        ] {
            assert_eq!(describes_a_build(&predicate), expected, "{predicate}");
        }
    }

    #[test]
    fn a_statement_of_another_builder_is_refused() {
        let other = json!({ "predicate": { "buildDefinition": {
            "buildType": "https://mobyproject.org/buildkit@v1",
            "externalParameters": {}, "internalParameters": {} } } });
        let error = RecordedBuild::parse(other.to_string().as_bytes()).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("its build type is https://mobyproject.org/")
        );
    }
}
