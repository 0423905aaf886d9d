//! A policy with its patterns and globs compiled.

use std::collections::BTreeMap;

use regex::Regex;

use super::subject::PolicySubject;
use crate::config_files::policy::Policy;
use crate::glob::Glob;

/// A policy with compiled patterns and globs.
#[derive(Debug)]
pub struct CompiledPolicy<'a> {
    pub(super) policy: &'a Policy,
    /// Patterns by label; each must match the whole value.
    pub(super) patterns: BTreeMap<&'a str, Regex>,
    /// `base.allow`; `None` allows every base.
    pub(super) allow: Option<Vec<Glob>>,
    /// `base.deny_tags`.
    pub(super) deny_tags: Vec<Glob>,
    /// `except`.
    pub(super) exceptions: Vec<CompiledException<'a>>,
}

/// An exception with its globs compiled.
#[derive(Debug)]
pub(super) struct CompiledException<'a> {
    pub(super) rule: &'a str,
    pub(super) images: Vec<Glob>,
    pub(super) until: time::Date,
}

impl CompiledPolicy<'_> {
    /// True if a rule does not count for a subject today.
    pub(super) fn excepts(&self, rule: &str, subject: &PolicySubject<'_>) -> bool {
        let today = day_of(subject.now);
        self.exceptions
            .iter()
            .filter(|exception| exception.rule == rule && today <= exception.until)
            .flat_map(|exception| &exception.images)
            .any(|glob| subject.known_as.iter().any(|name| glob.is_match(name)))
    }
}

/// The day in UTC, from seconds since 1970.
pub(super) fn day_of(seconds: i64) -> time::Date {
    time::OffsetDateTime::from_unix_timestamp(seconds)
        .unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
        .date()
}
