//! The types of image.toml, after its templates are evaluated. They contain no logic except
//! defaults.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::base::BaseSpec;
use super::channel::ChannelSpec;
use super::config::ConfigTable;
use super::lifecycle::LifecycleTable;
use super::matrix::MatrixTable;
use super::schema::pattern;
use super::test_table::TestTable;
use super::values::{EnvValue, OptionalVariant, OrDropped};
use crate::platform::Platform;
use crate::reference::RepositoryPath;
use crate::tags::{Latest, Level, Rebuild};

/// The spec of one image, image.toml.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "image.toml", extend("required" = ["image"]))]
pub struct ImageSpec {
    /// Name, version, base and platforms of the image.
    #[serde(deserialize_with = "super::table::some")]
    pub image: Option<ImageTable>,
    /// Labels; `false` removes one that comes from the defaults or that golden fills in.
    pub labels: IndexMap<String, OrDropped<String>>,
    /// Environment variables, in the order of the file.
    pub env: IndexMap<String, OrDropped<EnvValue>>,
    /// The OCI image config.
    #[serde(deserialize_with = "super::table::one")]
    pub config: ConfigTable,
    /// Root certificates for the image.
    #[serde(deserialize_with = "super::table::one")]
    pub certs: CertsTable,
    /// Packages of the base's package manager.
    #[serde(deserialize_with = "super::table::one")]
    pub packages: PackagesTable,
    /// Files to copy into the image.
    #[serde(deserialize_with = "super::table::list")]
    pub files: Vec<FileTable>,
    /// Steps to run, in order.
    #[serde(deserialize_with = "super::table::list")]
    pub run: Vec<RunTable>,
    /// Rules for the tags of the image.
    #[serde(deserialize_with = "super::table::one")]
    pub tags: TagsTable,
    /// Conditions that must hold before a tag moves.
    #[serde(deserialize_with = "super::table::list")]
    pub test: Vec<TestTable>,
    /// End of life, and revoked versions.
    #[serde(deserialize_with = "super::table::one")]
    pub lifecycle: LifecycleTable,
    /// Moving tags whose target the spec names, such as `prod = "1.2.4"`.
    pub channels: BTreeMap<String, ChannelSpec>,
    /// One image for each combination of the values of the axes.
    pub matrix: MatrixTable,
}

/// Name, version, base and platforms of an image.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["name", "version", "base"]))]
pub struct ImageTable {
    /// The repository path below the registry's namespace.
    #[schemars(with = "String", extend("pattern" = pattern::NAME))]
    pub name: Option<RepositoryPath>,
    /// The version, strict semver 2.0.0.
    #[schemars(with = "String", extend("pattern" = pattern::VERSION))]
    pub version: Option<super::values::VersionValue>,
    /// A short text about the purpose of the image.
    pub description: Option<String>,
    /// The base image.
    pub base: Option<BaseSpec>,
    /// The family of the base; inferred from the base by default.
    pub family: Option<super::values::Family>,
    /// The Dockerfile template; the template of the family by default.
    pub template: Option<String>,
    /// Platforms such as `linux/amd64`; the platform of the engine by default.
    #[serde(deserialize_with = "super::values::some_list")]
    #[schemars(with = "Option<Vec<String>>")]
    pub platforms: Option<Vec<Platform>>,
    /// The variant, a suffix of every tag: `alpine` in `1.2.3-alpine`.
    #[schemars(with = "Option<String>", extend("pattern" = pattern::VARIANT))]
    pub variant: Option<OptionalVariant>,
}

/// Root certificates for the image.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CertsTable {
    /// PEM files, by path or glob, that golden adds to the trust store of the image.
    pub trust: Vec<String>,
    /// Also add the certificates to the keystores of the JDKs in the image, with the keytool of each
    /// JDK.
    pub java: bool,
    /// Set variables such as `SSL_CERT_FILE` to the certificate bundle of the image, for programs
    /// that otherwise use a bundle of their own.
    pub env: bool,
}

/// Packages of the base's package manager.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PackagesTable {
    /// Packages to install, with the version syntax of the package manager.
    pub install: Vec<String>,
    /// Packages to remove.
    pub remove: Vec<String>,
    /// Update the packages of the base.
    pub upgrade: bool,
    /// Debian and Ubuntu: install from the snapshot archives of this date, such as "2026-11-20".
    #[schemars(with = "Option<String>", extend("pattern" = pattern::DATE))]
    pub snapshot: Option<super::values::SnapshotDate>,
    /// More repositories to install from. They remain configured in the image.
    pub repository: Vec<PackageRepositoryTable>,
}

/// A repository of packages.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["url", "key"]))]
pub struct PackageRepositoryTable {
    /// The URL. For apk, the whole line of /etc/apk/repositories.
    pub url: Option<String>,
    /// apt: the suite, such as "bookworm"; a suite that ends in `/` is a directory.
    pub suite: Option<String>,
    /// apt: the components, such as "main".
    pub components: Vec<String>,
    /// The public key that signs the repository: a file, relative to the spec.
    pub key: Option<String>,
}

/// A file or directory to copy into the image.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["target"], "oneOf" = one_of_source_and_content()))]
pub struct FileTable {
    /// A file, directory or glob, relative to image.toml.
    pub source: Option<String>,
    /// The content of the file, instead of `source`.
    pub content: Option<String>,
    /// The absolute path in the image; a path that ends in `/` is the directory to copy into.
    pub target: Option<String>,
    /// Permission bits in octal, such as "0644".
    #[schemars(with = "Option<String>", extend("pattern" = pattern::MODE))]
    pub mode: Option<super::values::Mode>,
    /// The owner: `uid:gid`, or names from `/etc/passwd` and `/etc/group` of the base.
    #[schemars(with = "Option<String>")]
    pub owner: Option<super::values::OwnerSpec>,
}

/// For the schema: an entry has `source` or `content`; an empty directory has neither.
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

/// A build step.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["script"]))]
pub struct RunTable {
    /// The name of the step in messages.
    pub name: Option<String>,
    /// The script, run by `/bin/sh -ec`.
    pub script: Option<String>,
    /// The user that runs the script; root by default.
    pub user: Option<String>,
    /// Secrets that the script reads at /run/secrets/NAME.
    pub secrets: Vec<String>,
    /// Forward the ssh agent of `--ssh` to the script.
    pub ssh: bool,
}

/// Rules for the tags of an image.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TagsTable {
    /// Rule for moving `latest`, or the variant's own tag such as `alpine`.
    pub latest: Option<Latest>,
    /// If true, 0.x versions get the tag `0`.
    pub zero_major: Option<bool>,
    /// The kinds of tags to publish; `full` is always included.
    pub fan_out: Option<Vec<Level>>,
    /// If true, the digest of a version tag never changes.
    pub immutable: Option<bool>,
    /// Additional moving tags.
    pub extra: Vec<String>,
    /// Rule for new content of a version that is already published.
    pub rebuild: Option<Rebuild>,
    /// Versions that golden does not publish and that no moving tag points to.
    #[serde(deserialize_with = "super::values::list")]
    #[schemars(with = "Vec<String>")]
    pub withdrawn: Vec<super::values::AnyVersion>,
}
