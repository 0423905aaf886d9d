//! The shape of golden.toml. No logic but defaults.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::config::ConfigTable;
use super::image::{CertsTable, FileTable, PackagesTable, RunTable, TagsTable};
use super::policy::Policy;
use super::values::{EnvSpec, LabelSpec};
use crate::oci::layer::Compression;
use crate::platform::Platform;
use crate::reference::Host;

/// A workspace: golden.toml.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "golden.toml")]
pub struct WorkspaceSpec {
    /// Where images and templates are.
    #[serde(deserialize_with = "super::table::one")]
    pub workspace: WorkspaceTable,
    /// `{{ vars.NAME }}` in any string.
    pub vars: IndexMap<String, String>,
    /// Destinations.
    #[serde(deserialize_with = "super::table::list")]
    pub registry: Vec<RegistryTable>,
    /// Engines to build with.
    #[serde(deserialize_with = "super::table::list")]
    pub engine: Vec<EngineTable>,
    /// Tables of image.toml that are merged under each image's.
    #[serde(deserialize_with = "super::table::one")]
    pub defaults: DefaultsTable,
    /// What images must look like.
    #[serde(deserialize_with = "super::table::one")]
    pub policy: Policy,
}

/// `[workspace]`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WorkspaceTable {
    /// Globs of image files; `**/image.toml` without.
    pub images: Option<Vec<String>>,
    /// Folders that are searched for templates before the built-in ones.
    pub templates: Vec<String>,
    /// Which engine builds, unless `--engine` says.
    pub engine: Option<EngineName>,
    /// How the embedded engine compresses the layers that it makes.
    pub compression: Compression,
    /// The format of the manifests that the embedded engine makes.
    pub format: Format,
}

/// The format of manifests, as `[workspace] format` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The base's: Docker's schema 2 stays what it is, OCI too.
    #[default]
    Base,
    /// OCI's, on every base.
    Oci,
}

/// An engine, as `[workspace] engine` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EngineName {
    /// The cheapest one that can reach the destination.
    Auto,
    /// The Docker Engine.
    Docker,
    /// golden itself.
    Embedded,
}

/// A `[[registry]]` entry.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["name", "host"]))]
pub struct RegistryTable {
    /// What `--registry` calls it.
    pub name: Option<String>,
    /// `host[:port]`.
    #[schemars(with = "String")]
    pub host: Option<Host>,
    /// Prefix of every repository; may be empty.
    pub namespace: Option<String>,
    /// Published to unless `--registry` names another.
    pub default: bool,
    /// An extra root for TLS, a PEM file.
    pub ca: Option<String>,
    /// Plain HTTP.
    pub http: bool,
}

/// An `[[engine]]` entry: a Docker Engine, or a BuildKit daemon, to build with.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["host"]))]
pub struct EngineTable {
    /// What people call it.
    pub name: Option<String>,
    /// Its address, as in `DOCKER_HOST`: `unix:///…`, `tcp://…`, `ssh://…`; a BuildKit daemon's is
    /// `buildkit://HOST[:PORT]` or `buildkit:///PATH`.
    pub host: Option<String>,
    /// Platforms that it builds; its own without.
    #[serde(deserialize_with = "super::values::list")]
    #[schemars(with = "Vec<String>")]
    pub platforms: Vec<Platform>,
    /// A folder with ca.pem, cert.pem and key.pem for TLS, as in `DOCKER_CERT_PATH`.
    pub certs: Option<String>,
}

/// `[defaults]`: any table of image.toml but `[image]` and `[matrix]`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DefaultsTable {
    /// Labels.
    pub labels: IndexMap<String, LabelSpec>,
    /// Environment.
    pub env: IndexMap<String, EnvSpec>,
    /// The OCI image config.
    #[serde(deserialize_with = "super::table::one")]
    pub config: ConfigTable,
    /// Certificates, before each image's own.
    #[serde(deserialize_with = "super::table::one")]
    pub certs: CertsTable,
    /// Packages, before each image's own.
    #[serde(deserialize_with = "super::table::one")]
    pub packages: PackagesTable,
    /// Files, before each image's own.
    #[serde(deserialize_with = "super::table::list")]
    pub files: Vec<FileTable>,
    /// Steps, before each image's own.
    #[serde(deserialize_with = "super::table::list")]
    pub run: Vec<RunTable>,
    /// Rules for tags.
    #[serde(deserialize_with = "super::table::one")]
    pub tags: TagsTable,
}
