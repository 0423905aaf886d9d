//! Compiles the patterns and globs of a policy once for all images, and reports mistakes in it.

use std::collections::BTreeMap;
use std::path::Path;

use regex::Regex;

use super::compiled::{CompiledException, CompiledPolicy};
use super::finding::WORKSPACE_FILE;
use super::rules::{RULES, rule};
use crate::config_files::policy::Policy;
use crate::config_files::regular_expression;
use crate::diagnostic::{Diagnostic, Diagnostics, KeyFinder};
use crate::glob::Glob;
use crate::suggest::closest;

impl<'a> CompiledPolicy<'a> {
    /// Compiles a policy. Also returns its mistakes; a wrong pattern or glob is then ignored.
    pub fn new(policy: &'a Policy, places: &dyn KeyFinder) -> (Self, Diagnostics) {
        let mut problems = Problems {
            places,
            found: Diagnostics::new(),
        };
        let mut patterns = BTreeMap::new();
        for (label, rule) in &policy.labels {
            if rule.pattern.is_none() && rule.one_of.is_none() && rule.format.is_none() {
                problems.empty_rule(label);
            }
            if let Some(pattern) = &rule.pattern {
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
            .map(|globs| problems.globs(&["base", "allow"], globs));
        let deny_tags = problems.globs(&["base", "deny_tags"], &policy.base.deny_tags);
        problems.ports(policy);
        problems.severities(policy);
        let exceptions = problems.exceptions(policy);
        (
            Self {
                policy,
                patterns,
                allow,
                deny_tags,
                exceptions,
            },
            problems.found,
        )
    }
}

/// Compiles a pattern that must match the whole value. First compiles it alone, so that a pattern
/// such as `a)|(b` cannot close the group around it. Fails if it is not a regular expression.
fn whole_value(pattern: &str) -> Result<Regex, regex::Error> {
    Regex::new(pattern)?;
    // A pattern with (?x) may end in a comment; the newline ends that comment.
    Regex::new(&format!(r"\A(?:{pattern})\z"))
        .or_else(|_| Regex::new(&format!("\\A(?:{pattern}\n)\\z")))
}

/// Collects the mistakes in a policy.
struct Problems<'p> {
    places: &'p dyn KeyFinder,
    found: Diagnostics,
}

impl Problems<'_> {
    /// Adds a diagnostic about the value at `path`.
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

    /// Adds a diagnostic about the key at `path`.
    fn push_key(&mut self, diagnostic: Diagnostic, path: &[&str]) {
        let file = Path::new(WORKSPACE_FILE);
        self.found.push(match self.places.key(file, path) {
            Some(span) => diagnostic.at(file, span, ""),
            None => diagnostic,
        });
    }

    fn empty_rule(&mut self, label: &str) {
        let message = format!("the rule for label `{label}` has no condition");
        let help = "add a condition: pattern = '…', one_of = […] or format = \"…\"";
        let diagnostic = Diagnostic::error("spec.policy", message).help(help);
        self.push(diagnostic, &["policy", "labels", label]);
    }

    fn pattern(&mut self, label: &str, pattern: &str, error: &regex::Error) {
        let message = regular_expression::refused(pattern, error);
        let path = ["policy", "labels", label, "pattern"];
        self.push(Diagnostic::error("spec.policy", message), &path);
    }

    fn globs(&mut self, key: &[&str], globs: &[String]) -> Vec<Glob> {
        let mut matchers = Vec::new();
        for (index, glob) in globs.iter().enumerate() {
            match Glob::new(glob) {
                Ok(glob) => matchers.push(glob),
                Err(error) => {
                    let message = error.to_string();
                    let index = index.to_string();
                    let path = [&["policy"], key, &[index.as_str()]].concat();
                    self.push(Diagnostic::error("spec.policy", message), &path);
                }
            }
        }
        matchers
    }

    fn ports(&mut self, policy: &Policy) {
        if let Some(ports) = policy.config.ports.filter(|ports| ports.min > ports.max) {
            let message = format!("the port range {} to {} is empty", ports.min, ports.max);
            let diagnostic =
                Diagnostic::error("spec.policy", message).help("min must not be higher than max");
            self.push(diagnostic, &["policy", "config", "ports"]);
        }
    }

    fn severities(&mut self, policy: &Policy) {
        for id in policy.severity.keys() {
            let path = ["policy", "severity", id.as_str()];
            if let Some(problem) = wrong_rule(id) {
                self.push_key(problem, &path);
            }
        }
    }

    /// Compiles the exceptions. An exception with a mistake is ignored.
    fn exceptions<'a>(&mut self, policy: &'a Policy) -> Vec<CompiledException<'a>> {
        let mut compiled = Vec::new();
        for (index, exception) in policy.except.iter().enumerate() {
            let index = index.to_string();
            let before = self.found.iter().count();
            if let Some(problem) = wrong_rule(&exception.rule) {
                self.push(problem, &["policy", "except", &index, "rule"]);
            }
            if exception.reason.trim().is_empty() {
                let message = format!("the exception from `{}` has no reason", exception.rule);
                let diagnostic = Diagnostic::error("spec.policy", message)
                    .help("write why the images cannot follow the rule yet");
                self.push(diagnostic, &["policy", "except", &index, "reason"]);
            }
            let images = self.globs(&["except", &index, "images"], &exception.images);
            if self.found.iter().count() == before {
                compiled.push(CompiledException {
                    rule: &exception.rule,
                    images,
                    until: exception.until.0,
                });
            }
        }
        compiled
    }
}

/// The error for the id of a rule that does not exist, or that a policy cannot change.
fn wrong_rule(id: &str) -> Option<Diagnostic> {
    match rule(id) {
        Some(rule) if rule.fixed => {
            let message = format!("the rule `{id}` is built in and cannot be changed");
            Some(Diagnostic::error("spec.policy", message))
        }
        Some(_) => None,
        None => {
            let ids = || RULES.iter().filter(|rule| !rule.fixed).map(|rule| rule.id);
            let help = closest(id, ids()).map_or_else(
                || format!("the rules are {}", ids().collect::<Vec<_>>().join(", ")),
                |similar| format!("did you mean \"{similar}\"?"),
            );
            let message = format!("there is no rule `{id}`");
            Some(Diagnostic::error("spec.policy", message).help(help))
        }
    }
}
