//! The table of rules: one file a rule, or a few that share their subject.

mod base_allow;
mod base_deny_tags;
mod base_require_digest;
mod certs_min_days_left;
mod certs_private_key;
mod certs_unreadable;
pub(super) mod config_deny_root;
mod config_healthcheck_inherited;
mod config_ports;
pub(in crate::policy) mod env_deny_secrets;
mod labels_format;
mod labels_inherited;
mod labels_one_of;
mod labels_pattern;
mod required_labels;

use super::compile::CompiledPolicy;
use super::finding::Finding;
use super::subject::{LabelValue, PolicySubject};
use crate::diagnostic::Severity;
use crate::reference::Repository;
use crate::resolve::image::Base;

/// A rule as data: what `check --explain` and SARIF show, and what judges.
#[derive(Debug)]
pub struct Rule {
    /// The stable id, as `[policy.severity]` writes it.
    pub id: &'static str,
    /// How bad it is unless `[policy.severity]` says otherwise.
    pub severity: Severity,
    /// No policy can switch it off or make it milder.
    pub fixed: bool,
    /// What it asks for, in one line.
    pub summary: &'static str,
    /// What it means, why one wants it, and what to do when it is broken.
    pub docs: &'static str,
    /// Judges a subject. None for a rule that whoever reads the file in question applies.
    pub(super) check: Option<Check>,
}

/// A function that judges.
pub(super) type Check = fn(&CompiledPolicy<'_>, &PolicySubject<'_>, &mut Vec<Finding>);

/// Every rule, sorted by id.
pub static RULES: &[&Rule] = &[
    &base_allow::RULE,
    &base_deny_tags::RULE,
    &base_require_digest::RULE,
    &certs_min_days_left::RULE,
    &certs_private_key::RULE,
    &certs_unreadable::RULE,
    &config_deny_root::RULE,
    &config_healthcheck_inherited::RULE,
    &config_ports::RULE,
    &env_deny_secrets::RULE,
    &labels_format::RULE,
    &labels_inherited::RULE,
    &labels_one_of::RULE,
    &labels_pattern::RULE,
    &required_labels::RULE,
];

/// The rule with this id.
#[must_use]
pub fn rule(id: &str) -> Option<&'static Rule> {
    RULES.iter().copied().find(|rule| rule.id == id)
}

/// The value of a label, when it is known by now.
fn known_label<'s>(subject: &'s PolicySubject<'_>, label: &str) -> Option<&'s str> {
    match subject.labels.get(label)? {
        LabelValue::Known(value) => Some(value),
        LabelValue::Later => None,
    }
}

/// The repository of a base that comes from outside of the workspace.
const fn base_repository(base: &Base) -> Option<&Repository> {
    match base {
        Base::Reference(reference) => Some(&reference.repository),
        Base::Requirement { repository, .. } => Some(repository),
        Base::Scratch | Base::Layout(_) | Base::Workspace { .. } => None,
    }
}

/// A key as TOML writes it: bare when it can be.
fn toml_key(key: &str) -> String {
    let bare = !key.is_empty()
        && key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if bare {
        key.to_owned()
    } else {
        format!("\"{key}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_explains_every_rule() {
        assert!(RULES.is_sorted_by_key(|rule| rule.id));
        for rule in RULES {
            assert!(
                !rule.summary.is_empty() && !rule.summary.ends_with('.'),
                "{}",
                rule.id
            );
            assert!(
                rule.docs.len() > 80 && rule.docs.ends_with('\n'),
                "{}",
                rule.id
            );
        }
    }
}
