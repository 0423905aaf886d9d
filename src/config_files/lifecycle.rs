//! The types of `[lifecycle]` in image.toml.

use schemars::JsonSchema;
use serde::Deserialize;

use super::schema::pattern;
use super::values::{Day, DayCount, ExactRequirement, VersionValue};

/// The end of life of an image, and its revoked versions. `golden build --push` and `golden lifecycle
/// apply` announce them in the registry.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LifecycleTable {
    /// The day from which no version gets updates, in UTC, such as "2027-06-30".
    #[schemars(with = "Option<String>", extend("pattern" = pattern::DATE))]
    pub eol: Option<Day>,
    /// The time before the end of life in which golden warns, in days: "90d".
    #[schemars(with = "Option<String>")]
    pub warn_before: Option<DayCount>,
    /// Revoked versions. No moving tag points to them.
    #[serde(deserialize_with = "super::table::list")]
    pub revoked: Vec<RevokedTable>,
}

/// Versions that must not be used.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["versions", "reason"]))]
pub struct RevokedTable {
    /// The versions, such as "1.2.3", "1.2" or ">=1.2.0, <1.2.5".
    #[schemars(with = "Option<String>")]
    pub versions: Option<ExactRequirement>,
    /// The reason, such as "CVE-2026-1234 in openssl".
    pub reason: Option<String>,
    /// The version to use instead.
    #[schemars(with = "Option<String>", extend("pattern" = pattern::VERSION))]
    pub replacement: Option<VersionValue>,
    /// The first day of a planned revocation, in UTC, such as "2026-12-01"; at once by default.
    #[schemars(with = "Option<String>", extend("pattern" = pattern::DATE))]
    pub from: Option<Day>,
}
