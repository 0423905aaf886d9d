//! The types of golden.toml. They contain no logic except defaults.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::KeySource;
use super::config::ConfigTable;
use super::gate_table::GateTable;
use super::image::{CertsTable, FileTable, PackagesTable, RunTable, TagsTable};
use super::notify_table::NotifyTable;
use super::policy::Policy;
use super::test_table::TestTable;
use super::values::{EnvValue, OrDropped};
use crate::oci::layer::Compression;
use crate::platform::Platform;
use crate::reference::Host;

/// The workspace, golden.toml.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "golden.toml")]
pub struct WorkspaceSpec {
    /// Locations of images and templates, and defaults for building.
    #[serde(deserialize_with = "super::table::one")]
    pub workspace: WorkspaceTable,
    /// Variables; any string can contain them as `{{ vars.NAME }}`.
    pub vars: IndexMap<String, String>,
    /// Registries to publish to.
    #[serde(deserialize_with = "super::table::list")]
    pub registry: Vec<RegistryTable>,
    /// Engines to build with.
    #[serde(deserialize_with = "super::table::list")]
    pub engine: Vec<EngineTable>,
    /// Default values for every image.toml.
    #[serde(deserialize_with = "super::table::one")]
    pub defaults: DefaultsTable,
    /// Signing of published images; by default, nothing is signed.
    #[serde(deserialize_with = "super::table::one")]
    pub signing: SigningTable,
    /// Bills of materials that are attached to published images; by default, none.
    #[serde(deserialize_with = "super::table::some")]
    pub sbom: Option<SbomTable>,
    /// Provenance statements that are attached to published images; by default, none.
    #[serde(deserialize_with = "super::table::some")]
    pub provenance: Option<ProvenanceTable>,
    /// Keys whose signatures are trusted.
    #[serde(deserialize_with = "super::table::list")]
    pub trust: Vec<TrustTable>,
    /// Commands that decide if tags may move.
    #[serde(deserialize_with = "super::table::list")]
    pub gate: Vec<GateTable>,
    /// Receivers of a document about each image whose tags were moved.
    #[serde(deserialize_with = "super::table::list")]
    pub notify: Vec<NotifyTable>,
    /// Rules that every image must follow.
    #[serde(deserialize_with = "super::table::one")]
    pub policy: Policy,
}

/// Locations of images and templates, and defaults for building.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WorkspaceTable {
    /// Globs of image files; `**/image.toml` by default.
    pub images: Option<Vec<String>>,
    /// Directories that are searched for templates before the built-in templates.
    pub templates: Vec<String>,
    /// The engine to build with; `--engine` overrides it.
    pub engine: Option<EngineKind>,
    /// The compression of layers that the embedded engine creates.
    pub compression: Compression,
    /// The format of manifests that the embedded engine creates.
    pub format: Format,
    /// The store in which BuildKit engines share the results of steps; they share none by default.
    pub cache: Option<BuildCache>,
}

/// The value of `[workspace] cache`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BuildCache {
    /// The destination has the results, under the tag `buildcache` of each image.
    Registry,
}

/// The value of `[workspace] format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The format of the base: Docker's schema 2 or OCI.
    #[default]
    Base,
    /// OCI, for every image.
    Oci,
}

/// The engine that the user requested, or that built an image.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// Chosen for each image: the embedded engine if the build runs no command and the image is
    /// published or written to a file; otherwise Docker.
    Auto,
    /// The Docker Engine, over its API.
    Docker,
    /// golden's own engine, which needs no daemon.
    Embedded,
}

impl EngineKind {
    /// The name in options and configuration files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Docker => "docker",
            Self::Embedded => "embedded",
        }
    }
}

/// A registry to publish to.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["name", "host"]))]
pub struct RegistryTable {
    /// The name for `--registry`.
    pub name: Option<String>,
    /// The address, `host[:port]`.
    #[schemars(with = "String")]
    pub host: Option<Host>,
    /// The prefix of every repository; may be empty.
    pub namespace: Option<String>,
    /// If true, golden publishes to this registry unless `--registry` names another one.
    pub default: bool,
    /// A PEM file with an additional root certificate for TLS.
    pub ca: Option<String>,
    /// If true, golden uses HTTP without TLS.
    pub http: bool,
}

/// A Docker Engine or a BuildKit daemon to build with.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["host"]))]
pub struct EngineTable {
    /// The name of the engine in messages.
    pub name: Option<String>,
    /// The address, as in `DOCKER_HOST`: `unix:///…`, `tcp://…`, `ssh://…`; for a BuildKit daemon
    /// `buildkit://HOST[:PORT]` or `buildkit:///PATH`.
    pub host: Option<String>,
    /// The platforms that the engine builds; its own platform by default.
    #[serde(deserialize_with = "super::values::list")]
    #[schemars(with = "Vec<String>")]
    pub platforms: Vec<Platform>,
    /// A directory with ca.pem, cert.pem and key.pem for TLS, as in `DOCKER_CERT_PATH`.
    pub certs: Option<String>,
}

impl EngineTable {
    /// The name in messages: the address if no name is set. `None` if the address is missing too.
    #[must_use]
    pub fn shown_name(&self) -> Option<&str> {
        self.name.as_deref().or(self.host.as_deref())
    }
}

/// Signing of published images.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SigningTable {
    /// The private key: a file, `env:NAME` for an environment variable with the text of the file, or
    /// `plugin:NAME://KEY` for a key of the program `sigstore-kms-NAME`.
    #[schemars(with = "String")]
    pub key: Option<KeySource>,
    /// The formats of signatures; both by default.
    pub formats: Option<Vec<SignatureFormat>>,
}

impl SigningTable {
    /// The formats of signatures.
    #[must_use]
    pub fn formats(&self) -> Vec<SignatureFormat> {
        let both = || vec![SignatureFormat::Bundle, SignatureFormat::Simple];
        self.formats.clone().unwrap_or_else(both)
    }
}

/// A format of signatures.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum SignatureFormat {
    /// A Sigstore bundle, as a referrer: cosign 3, policy engines.
    Bundle,
    /// Simple signing, under the tag `sha256-….sig`: Podman, skopeo, CRI-O, older cosign.
    Simple,
}

impl std::fmt::Display for SignatureFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Bundle => "bundle",
            Self::Simple => "simple",
        })
    }
}

/// Bills of materials of published images.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SbomTable {
    /// The formats; both by default.
    pub formats: Option<Vec<SbomFormat>>,
}

impl SbomTable {
    /// The formats, each once.
    #[must_use]
    pub fn formats(&self) -> Vec<SbomFormat> {
        let both = || vec![SbomFormat::CycloneDx, SbomFormat::Spdx];
        let mut formats = self.formats.clone().unwrap_or_else(both);
        formats.sort_unstable();
        formats.dedup();
        formats
    }
}

/// A format of bills of materials.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum SbomFormat {
    /// CycloneDX 1.6.
    CycloneDx,
    /// SPDX 2.3.
    Spdx,
}

/// Provenance statements of published images.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProvenanceTable {
    /// The URI of the system that builds the images; by default, that of the workflow in GitHub
    /// Actions or of the runner in GitLab CI.
    pub builder: Option<String>,
}

/// Keys whose signatures are trusted for some images.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["name", "images"]))]
pub struct TrustTable {
    /// The name of the signer in messages and rules.
    pub name: Option<String>,
    /// Globs over the full name of the repository, such as `registry.example.com/team/**`.
    pub images: Vec<String>,
    /// Files with public keys; a signature by any of them is accepted.
    pub keys: Vec<String>,
    /// A program that verifies bases which no key signed, with its arguments. It gets the base by
    /// digest in place of `{reference}`, or as its last argument, and accepts it with exit code 0.
    pub verify: Option<Vec<String>>,
}

/// Default values for every image: any table of image.toml except `[image]` and `[matrix]`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DefaultsTable {
    /// Labels; an image replaces them key by key.
    pub labels: IndexMap<String, OrDropped<String>>,
    /// Environment variables; an image replaces them key by key.
    pub env: IndexMap<String, OrDropped<EnvValue>>,
    /// The OCI image config.
    #[serde(deserialize_with = "super::table::one")]
    pub config: ConfigTable,
    /// Certificates, placed before those of the image.
    #[serde(deserialize_with = "super::table::one")]
    pub certs: CertsTable,
    /// Packages, placed before those of the image.
    #[serde(deserialize_with = "super::table::one")]
    pub packages: PackagesTable,
    /// Files, placed before those of the image.
    #[serde(deserialize_with = "super::table::list")]
    pub files: Vec<FileTable>,
    /// Steps, run before those of the image.
    #[serde(deserialize_with = "super::table::list")]
    pub run: Vec<RunTable>,
    /// Rules for tags; an image replaces them key by key.
    #[serde(deserialize_with = "super::table::one")]
    pub tags: TagsTable,
    /// Tests, placed before those of the image.
    #[serde(deserialize_with = "super::table::list")]
    pub test: Vec<TestTable>,
}
