//! The shape of `[policy]` in golden.toml (1-spec “Policy”). What each key means is in `policy::rules`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[policy]`: rules that every image of the workspace must keep. Absent keys ask for nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Labels that every image must have, with a value that is not empty.
    pub required_labels: Vec<String>,
    /// What the values of labels must look like.
    #[serde(deserialize_with = "super::table::named")]
    pub labels: BTreeMap<String, LabelPolicy>,
    /// Which bases are allowed.
    #[serde(deserialize_with = "super::table::one")]
    pub base: BasePolicy,
    /// Limits on the runtime config.
    #[serde(deserialize_with = "super::table::one")]
    pub config: ConfigPolicy,
    /// Limits on the environment.
    #[serde(deserialize_with = "super::table::one")]
    pub env: EnvPolicy,
    /// Limits on certificates.
    #[serde(deserialize_with = "super::table::one")]
    pub certs: CertsPolicy,
    /// How bad a broken rule is, by the rule's id; each rule has its own default.
    pub severity: BTreeMap<String, RuleLevel>,
}

/// What a label's value must look like: all that is given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1))]
pub struct LabelPolicy {
    /// A regular expression for the whole value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// The values that are allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_of: Option<Vec<String>>,
    /// A named format.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<LabelFormat>,
}

/// A format that label values can be held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LabelFormat {
    /// An absolute URL with a host.
    Url,
    /// A version of semver 2.0.0.
    Semver,
    /// An address for mail.
    Email,
    /// A date and time of RFC 3339.
    Rfc3339,
    /// An SPDX licence expression.
    Spdx,
    /// A digest, `sha256:…`.
    Digest,
}

/// Which bases are allowed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BasePolicy {
    /// Globs over the base in full, such as `docker.io/library/*`; absent allows every base.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<String>>,
    /// The base must be pinned by digest, in its reference or in golden.lock.
    pub require_digest: bool,
    /// Tags that a base may not have.
    pub deny_tags: Vec<String>,
}

/// Limits on the runtime config.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigPolicy {
    /// The image may not run as root.
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
    /// The lowest.
    pub min: u16,
    /// The highest.
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

/// Limits on the environment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EnvPolicy {
    /// No variable may look like a credential.
    pub deny_secrets: bool,
}

/// Limits on certificates.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CertsPolicy {
    /// Every certificate must be valid for so many days more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_days_left: Option<u32>,
}

/// How bad a broken rule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RuleLevel {
    /// Exit 3.
    Error,
    /// Told only.
    Warn,
    /// Not looked at.
    Off,
}
