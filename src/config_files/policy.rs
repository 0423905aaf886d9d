//! The types of `[policy]` in golden.toml. The rules themselves are in `policy::rules`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::byte_size::ByteSize;
use super::growth::Growth;
use super::schema::pattern;
use super::values::Day;

/// Rules that every image of the workspace must follow. A rule whose key is absent does not apply.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Labels that every image must have with a non-empty value.
    pub required_labels: Vec<String>,
    /// Rules for the values of labels.
    #[serde(deserialize_with = "super::table::named")]
    pub labels: BTreeMap<String, LabelPolicy>,
    /// Rules for base images.
    #[serde(deserialize_with = "super::table::one")]
    pub base: BasePolicy,
    /// Rules for the image config.
    #[serde(deserialize_with = "super::table::one")]
    pub config: ConfigPolicy,
    /// Rules for environment variables.
    #[serde(deserialize_with = "super::table::one")]
    pub env: EnvPolicy,
    /// Rules for certificates.
    #[serde(deserialize_with = "super::table::one")]
    pub certs: CertsPolicy,
    /// Rules for published images.
    #[serde(deserialize_with = "super::table::one")]
    pub published: PublishedPolicy,
    /// Limits for the size of images.
    #[serde(deserialize_with = "super::table::one")]
    pub size: SizePolicy,
    /// The severities for revoked bases and their end of life.
    #[serde(deserialize_with = "super::table::one")]
    pub lifecycle: LifecyclePolicy,
    /// The severity of each rule, by rule code; each rule has its own default.
    pub severity: BTreeMap<String, RuleLevel>,
    /// Exceptions from rules, each until a date.
    #[serde(deserialize_with = "super::table::list")]
    pub except: Vec<PolicyException>,
}

/// An exception from a rule for some images, until a date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyException {
    /// The code of the rule.
    pub rule: String,
    /// Globs over the names of images; `*` does not match `/`, `**` does.
    #[serde(default = "every_image")]
    pub images: Vec<String>,
    /// The reason for the exception.
    pub reason: String,
    /// The last day of the exception, in UTC, such as 2026-11-20.
    #[schemars(with = "String", extend("pattern" = pattern::DATE))]
    pub until: Day,
}

fn every_image() -> Vec<String> {
    vec!["**".to_owned()]
}

/// Conditions on the value of a label; all of them must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1))]
pub struct LabelPolicy {
    /// A regular expression for the whole value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// The allowed values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_of: Option<Vec<String>>,
    /// A format such as `url` or `semver`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<LabelFormat>,
}

/// A format for the value of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LabelFormat {
    /// An absolute URL with a host.
    Url,
    /// A version, semver 2.0.0.
    Semver,
    /// An email address.
    Email,
    /// A date and time as in RFC 3339.
    Rfc3339,
    /// An SPDX license expression.
    Spdx,
    /// A digest, `sha256:…`.
    Digest,
}

/// Rules for base images.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BasePolicy {
    /// Globs over the full reference of the base, such as `docker.io/library/*`; if absent, every
    /// base is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<String>>,
    /// The names of `[[trust]]` tables; a key of one of them must have signed the base.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signed_by: Vec<String>,
    /// If true, the base must be pinned by digest, in its reference or in golden.lock.
    pub require_digest: bool,
    /// Tags that a base must not have.
    pub deny_tags: Vec<String>,
}

/// Rules for the image config.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigPolicy {
    /// If true, an image must not run as root.
    pub deny_root: bool,
    /// The ports that may be exposed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "super::table::some")]
    pub ports: Option<PortRange>,
}

/// A range of ports, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PortRange {
    /// The lowest port; 1 by default.
    pub min: u16,
    /// The highest port; 65535 by default.
    pub max: u16,
}

impl Default for PortRange {
    fn default() -> Self {
        Self {
            min: 1,
            max: u16::MAX,
        }
    }
}

/// Rules for environment variables.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EnvPolicy {
    /// If true, no variable may look like a credential.
    pub deny_secrets: bool,
}

/// Rules for certificates.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CertsPolicy {
    /// The number of days that every certificate must still be valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_days_left: Option<u32>,
}

/// Rules for published images, which `audit` and `verify` apply.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PublishedPolicy {
    /// The artifacts that must be attached to every published image.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<RequiredArtifact>,
}

/// Limits for the size of the image for each platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SizePolicy {
    /// The maximum size of all layers as the registry stores them, such as "150MB".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packed: Option<ByteSize>,
    /// The maximum size of the files of all layers, such as "500MB".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unpacked: Option<ByteSize>,
    /// The maximum size of the files of one layer, such as "200MB".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<ByteSize>,
    /// The maximum growth of the packed size since the newest earlier version in the registry:
    /// a percentage such as "10%", or a size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub growth: Option<Growth>,
}

/// The severities for bases whose publisher announced a revocation or an end of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LifecyclePolicy {
    /// The severity for a revoked base; `error` by default.
    pub revoked: RuleLevel,
    /// The severity for a base that reached its end of life; `warn` by default.
    pub eol: RuleLevel,
    /// The severity if the announcements about a base cannot be read; `error` by default.
    pub unknown: RuleLevel,
}

impl Default for LifecyclePolicy {
    fn default() -> Self {
        Self {
            revoked: RuleLevel::Error,
            eol: RuleLevel::Warn,
            unknown: RuleLevel::Error,
        }
    }
}

impl Policy {
    /// The severities of `[policy.lifecycle]`; `[policy.severity]` of the rules `base.revoked` and
    /// `base.eol` takes precedence.
    #[must_use]
    pub fn lifecycle_levels(&self) -> LifecyclePolicy {
        let of_rule = |rule: &str| self.severity.get(rule).copied();
        LifecyclePolicy {
            revoked: of_rule("base.revoked").unwrap_or(self.lifecycle.revoked),
            eol: of_rule("base.eol").unwrap_or(self.lifecycle.eol),
            unknown: self.lifecycle.unknown,
        }
    }
}

/// An artifact that must be attached to a published image.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum RequiredArtifact {
    /// A signature by a key of `[[trust]]`.
    Signature,
    /// A bill of materials.
    Sbom,
    /// A provenance statement of SLSA.
    Provenance,
}

impl std::fmt::Display for RequiredArtifact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Signature => "signature",
            Self::Sbom => "SBOM",
            Self::Provenance => "provenance",
        })
    }
}

/// The severity of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RuleLevel {
    /// A violation is an error, and the command exits with 3.
    Error,
    /// A violation is reported as a warning.
    Warn,
    /// The rule is not checked.
    Off,
}
