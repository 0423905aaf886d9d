//! A policy with its patterns and globs compiled.

use std::collections::BTreeMap;

use globset::GlobMatcher;
use regex::Regex;

use crate::config_files::policy::Policy;

/// A policy with compiled patterns and globs.
#[derive(Debug)]
pub struct CompiledPolicy<'a> {
    pub(super) policy: &'a Policy,
    /// Patterns by label; each must match the whole value.
    pub(super) patterns: BTreeMap<&'a str, Regex>,
    /// `base.allow`; `None` allows every base.
    pub(super) allow: Option<Vec<GlobMatcher>>,
    /// `base.deny_tags`.
    pub(super) deny_tags: Vec<GlobMatcher>,
}
