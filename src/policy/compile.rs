//! A policy made ready: patterns and globs compiled once for all images, and what is wrong with it found.

use std::collections::BTreeMap;
use std::path::Path;

use globset::{GlobBuilder, GlobMatcher};
use regex::Regex;

use super::finding::WORKSPACE_FILE;
use super::rules::{RULES, rule};
use crate::diagnostic::{Diagnostic, Diagnostics, Places};
use crate::spec::policy::Policy;
use crate::suggest::closest;

/// A policy whose patterns and globs are ready to match.
#[derive(Debug)]
pub struct CompiledPolicy<'a> {
    /// The policy itself.
    pub(super) policy: &'a Policy,
    /// The pattern of a label, for the whole value.
    pub(super) patterns: BTreeMap<&'a str, Regex>,
    /// `base.allow`; None allows every base.
    pub(super) allow: Option<Vec<GlobMatcher>>,
    /// `base.deny_tags`.
    pub(super) deny_tags: Vec<GlobMatcher>,
}

impl<'a> CompiledPolicy<'a> {
    /// Compiles a policy. The second value is what is wrong with it; what is wrong then judges nothing.
    pub fn new(policy: &'a Policy, places: &dyn Places) -> (Self, Diagnostics) {
        let mut problems = Problems {
            places,
            found: Diagnostics::new(),
        };
        let mut patterns = BTreeMap::new();
        for (label, wanted) in &policy.labels {
            if wanted.pattern.is_none() && wanted.one_of.is_none() && wanted.format.is_none() {
                problems.empty_rule(label);
            }
            if let Some(pattern) = &wanted.pattern {
                match whole_value(pattern) {
                    Ok(regex) => drop(patterns.insert(label.as_str(), regex)),
                    Err(error) => problems.pattern(label, pattern, &error),
                }
            }
        }
        let allow = policy
            .base
            .allow
            .as_ref()
            .map(|globs| problems.globs("allow", globs));
        let deny_tags = problems.globs("deny_tags", &policy.base.deny_tags);
        problems.ports(policy);
        problems.severities(policy);
        (
            Self {
                policy,
                patterns,
                allow,
                deny_tags,
            },
            problems.found,
        )
    }
}

/// Compiles a pattern that must match the whole value. It is compiled by itself first, so that a pattern such as
/// `a)|(b` cannot escape from the group around it.
fn whole_value(pattern: &str) -> Result<Regex, regex::Error> {
    Regex::new(pattern)?;
    // The newline ends a comment of a pattern in the (?x) form.
    Regex::new(&format!(r"\A(?:{pattern})\z"))
        .or_else(|_| Regex::new(&format!("\\A(?:{pattern}\n)\\z")))
}

/// Collects what is wrong with a policy.
struct Problems<'p> {
    places: &'p dyn Places,
    found: Diagnostics,
}

impl Problems<'_> {
    /// Adds a finding about the value at `path`.
    fn push(&mut self, diagnostic: Diagnostic, path: &[&str]) {
        let file = Path::new(WORKSPACE_FILE);
        let span = self
            .places
            .value(file, path)
            .or_else(|| self.places.key(file, path));
        self.found.push(match span {
            Some(span) => diagnostic.at(file, span, ""),
            None => diagnostic,
        });
    }

    /// Adds a finding about the key at `path`.
    fn push_key(&mut self, diagnostic: Diagnostic, path: &[&str]) {
        let file = Path::new(WORKSPACE_FILE);
        self.found.push(match self.places.key(file, path) {
            Some(span) => diagnostic.at(file, span, ""),
            None => diagnostic,
        });
    }

    fn empty_rule(&mut self, label: &str) {
        let message = format!("the rule for label `{label}` asks for nothing");
        let help = "say what it must be: pattern = '…', one_of = […] or format = \"…\"";
        let diagnostic = Diagnostic::error("spec.policy", message).help(help);
        self.push(diagnostic, &["policy", "labels", label]);
    }

    fn pattern(&mut self, label: &str, pattern: &str, error: &regex::Error) {
        let reason = error.to_string();
        let reason = reason
            .lines()
            .last()
            .unwrap_or_default()
            .trim_start_matches("error: ");
        let message = format!("`{pattern}` is not a regular expression: {reason}");
        let path = ["policy", "labels", label, "pattern"];
        self.push(Diagnostic::error("spec.policy", message), &path);
    }

    /// Compiles globs in which `*` stays within one part of a path and `**` does not.
    fn globs(&mut self, key: &str, globs: &[String]) -> Vec<GlobMatcher> {
        let mut matchers = Vec::new();
        for (index, glob) in globs.iter().enumerate() {
            match GlobBuilder::new(glob).literal_separator(true).build() {
                Ok(glob) => matchers.push(glob.compile_matcher()),
                Err(error) => {
                    let message = format!("`{glob}` is not a glob: {}", error.kind());
                    let path = ["policy", "base", key, &index.to_string()];
                    self.push(Diagnostic::error("spec.policy", message), &path);
                }
            }
        }
        matchers
    }

    fn ports(&mut self, policy: &Policy) {
        if let Some(ports) = policy.config.ports.filter(|ports| ports.min > ports.max) {
            let message = format!("the ports {} to {} are none at all", ports.min, ports.max);
            let diagnostic =
                Diagnostic::error("spec.policy", message).help("min must not be above max");
            self.push(diagnostic, &["policy", "config", "ports"]);
        }
    }

    fn severities(&mut self, policy: &Policy) {
        for id in policy.severity.keys() {
            let path = ["policy", "severity", id.as_str()];
            match rule(id) {
                Some(rule) if rule.fixed => {
                    let message = format!("the rule `{id}` is built in and cannot be changed");
                    self.push_key(Diagnostic::error("spec.policy", message), &path);
                }
                Some(_) => {}
                None => {
                    let ids = || RULES.iter().filter(|rule| !rule.fixed).map(|rule| rule.id);
                    let help = closest(id, ids()).map_or_else(
                        || format!("the rules are {}", ids().collect::<Vec<_>>().join(", ")),
                        |near| format!("did you mean \"{near}\"?"),
                    );
                    let message = format!("there is no rule `{id}`");
                    self.push_key(Diagnostic::error("spec.policy", message).help(help), &path);
                }
            }
        }
    }
}
