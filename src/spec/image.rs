//! The shape of image.toml, after templates are filled in. No logic but defaults.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::base::BaseSpec;
use super::config::ConfigTable;
use super::matrix::MatrixTable;
use super::schema::pattern;
use super::values::{EnvSpec, LabelSpec};
use crate::platform::Platform;
use crate::reference::RepositoryPath;
use crate::tags::{Latest, Level, Rebuild, Variant};

/// An image: image.toml.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "image.toml", extend("required" = ["image"]))]
pub struct ImageSpec {
    /// What it is, and what it is built on.
    #[serde(deserialize_with = "super::table::some")]
    pub image: Option<ImageTable>,
    /// Labels; `false` drops one that comes from the defaults or would be filled in.
    pub labels: IndexMap<String, LabelSpec>,
    /// Environment, in this order.
    pub env: IndexMap<String, EnvSpec>,
    /// The OCI image config.
    #[serde(deserialize_with = "super::table::one")]
    pub config: ConfigTable,
    /// Certificates.
    #[serde(deserialize_with = "super::table::one")]
    pub certs: CertsTable,
    /// Packages of the family's manager.
    #[serde(deserialize_with = "super::table::one")]
    pub packages: PackagesTable,
    /// Files to place into the image.
    #[serde(deserialize_with = "super::table::list")]
    pub files: Vec<FileTable>,
    /// Steps to run, in order.
    #[serde(deserialize_with = "super::table::list")]
    pub run: Vec<RunTable>,
    /// Rules for tags.
    #[serde(deserialize_with = "super::table::one")]
    pub tags: TagsTable,
    /// One image for each combination of its axes.
    pub matrix: MatrixTable,
}

/// `[image]`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["name", "version", "base"]))]
pub struct ImageTable {
    /// Repository path below the registry's namespace.
    #[schemars(with = "String", extend("pattern" = pattern::NAME))]
    pub name: Option<RepositoryPath>,
    /// The version: semver 2.0.0, strictly.
    #[schemars(with = "String", extend("pattern" = pattern::VERSION))]
    pub version: Option<super::values::VersionValue>,
    /// What it is for.
    pub description: Option<String>,
    /// What it is built on.
    pub base: Option<BaseSpec>,
    /// The base's family; told from the base without.
    pub family: Option<super::values::Family>,
    /// The Dockerfile template; the family's without.
    pub template: Option<String>,
    /// Platforms such as `linux/amd64`; the engine's own without.
    #[serde(deserialize_with = "super::values::some_list")]
    #[schemars(with = "Option<Vec<String>>")]
    pub platforms: Option<Vec<Platform>>,
    /// A tag suffix.
    #[schemars(with = "Option<String>", extend("pattern" = pattern::VARIANT))]
    pub variant: Option<OptionalVariant>,
}

/// A variant that may be the empty string, which means none (useful in a matrix).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct OptionalVariant(pub Option<Variant>);

impl TryFrom<String> for OptionalVariant {
    type Error = crate::tags::VariantError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.is_empty() {
            Ok(Self(None))
        } else {
            text.parse().map(|variant| Self(Some(variant)))
        }
    }
}

/// `[certs]`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CertsTable {
    /// PEM files, by path or glob, that the image's system trust store gets.
    pub trust: Vec<String>,
}

/// `[packages]`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PackagesTable {
    /// To install, with the manager's own version syntax.
    pub install: Vec<String>,
    /// To remove.
    pub remove: Vec<String>,
}

/// A `[[files]]` entry.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["target"], "oneOf" = one_of_source_and_content()))]
pub struct FileTable {
    /// A file, folder or glob, relative to this file.
    pub source: Option<String>,
    /// The content, in place of `source`.
    pub content: Option<String>,
    /// Where it goes: an absolute path; one that ends in `/` means into that folder.
    pub target: Option<String>,
    /// Permission bits, octal, such as "0644".
    #[schemars(with = "Option<String>", extend("pattern" = pattern::MODE))]
    pub mode: Option<super::values::Mode>,
    /// `uid:gid`, or names that the base knows.
    #[schemars(with = "Option<String>")]
    pub owner: Option<super::values::OwnerSpec>,
}

/// For the schema: an entry has a source or a content, and an empty folder neither.
fn one_of_source_and_content() -> serde_json::Value {
    serde_json::json!([
        { "required": ["source"] },
        { "required": ["content"] },
        {
            "not": { "anyOf": [{ "required": ["source"] }, { "required": ["content"] }] },
            "properties": { "target": { "pattern": r"/$|\{\{" } }
        }
    ])
}

/// A `[[run]]` entry.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["script"]))]
pub struct RunTable {
    /// What it does, for people.
    pub name: Option<String>,
    /// The script, given to `/bin/sh -ec`.
    pub script: Option<String>,
    /// The user that runs it; root without.
    pub user: Option<String>,
    /// Secrets that it sees at /run/secrets/NAME.
    pub secrets: Vec<String>,
}

/// `[tags]`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TagsTable {
    /// When `latest`, or the bare variant, moves.
    pub latest: Option<Latest>,
    /// Whether 0.x versions get the tag `0`.
    pub zero_major: Option<bool>,
    /// Which kinds of tags are made; `full` always is.
    pub fan_out: Option<Vec<Level>>,
    /// Whether a full version may never change its digest.
    pub immutable: Option<bool>,
    /// Other moving tags.
    pub extra: Vec<String>,
    /// What happens to new content for a published version.
    pub rebuild: Option<Rebuild>,
    /// Versions that are neither compared with nor published.
    #[serde(deserialize_with = "super::values::list")]
    #[schemars(with = "Vec<String>")]
    pub withdrawn: Vec<super::values::AnyVersion>,
}
