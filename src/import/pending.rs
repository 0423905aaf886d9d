//! The steps of an import, before the config of the image is known.

use indexmap::IndexMap;

use super::scripts::Body;
use crate::dockerfile::Value;

/// A step, before the final values of the config are known.
#[derive(Debug, Clone, Default)]
pub(super) struct PendingStep {
    pub(super) name: String,
    pub(super) body: Body,
    pub(super) user: Option<String>,
    /// The working directory; `None` for that of the base.
    pub(super) workdir: Option<String>,
    /// The environment at its place.
    pub(super) env: IndexMap<String, Value>,
    /// The build arguments at its place.
    pub(super) arguments: IndexMap<String, Option<Value>>,
    pub(super) secrets: Vec<String>,
    pub(super) ssh: bool,
    /// The directories that a later `WORKDIR` creates, deepest first. golden creates them before the
    /// steps.
    pub(super) absent: Vec<String>,
}
