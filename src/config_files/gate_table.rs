//! `[[gate]]`: a command that decides if the tags of an image may move.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema::pattern;
use super::values::{Day, Interval};

/// The names of the placeholders in commands.
pub const PLACEHOLDERS: [&str; 6] = [
    "layout",
    "reference",
    "sbom",
    "image",
    "version",
    "platform",
];

/// The words in braces of a text.
pub fn in_braces(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split('{').skip(1);
    parts.filter_map(|part| Some(part.split_once('}')?.0))
}

/// The default time limit of a gate.
const TIMEOUT: Duration = Duration::from_mins(10);

/// A command that decides if the tags of an image may move. Only exit status 0 allows it.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["name", "command"]))]
pub struct GateTable {
    /// The name of the gate in reports.
    pub name: Option<String>,
    /// The program and its arguments, with the placeholders `{layout}`, `{reference}`, `{sbom}`,
    /// `{image}`, `{version}` and `{platform}`.
    pub command: Vec<String>,
    /// Globs over the names of images; `*` does not match `/`, `**` does. All images by default.
    pub images: Option<Vec<String>>,
    /// The commands that run the gate; `push` by default.
    pub on: Option<Vec<GateEvent>>,
    /// The time limit, such as "10m"; all processes of the gate are then killed.
    #[schemars(with = "Option<String>")]
    pub timeout: Option<Interval>,
    /// The SARIF file that the command writes, relative to golden.toml.
    pub sarif: Option<String>,
    /// Results that golden ignores until a date.
    #[serde(deserialize_with = "super::table::list")]
    pub except: Vec<GateException>,
}

impl GateTable {
    /// The name in reports.
    #[must_use]
    pub fn shown_name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// The time limit.
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.timeout.map_or(TIMEOUT, |timeout| timeout.0)
    }

    /// True if a command runs the gate.
    #[must_use]
    pub fn is_on(&self, event: GateEvent) -> bool {
        match &self.on {
            Some(events) => events.contains(&event),
            None => event == GateEvent::Push,
        }
    }
}

/// A command that runs gates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GateEvent {
    /// `golden build --push` and `golden push`.
    Push,
    /// `golden promote`.
    Promote,
}

/// Results of a gate that golden ignores until a date.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GateException {
    /// The rule ID of the results in the SARIF file, such as `CVE-2026-1`.
    pub id: String,
    /// The reason for the exception.
    pub reason: String,
    /// The last day of the exception, in UTC, such as 2026-11-20.
    #[schemars(with = "String", extend("pattern" = pattern::DATE))]
    pub until: Day,
}
