//! The table of rules; each rule has its own file.

mod base_allow;
mod base_deny_tags;
mod base_eol;
mod base_outdated;
mod base_require_digest;
mod base_revoked;
mod base_signed_by;
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
mod published_require;
mod required_labels;
mod size;
mod size_growth;
mod size_layer;
mod size_packed;
mod size_unpacked;

use super::compiled::CompiledPolicy;
use super::finding::Finding;
use super::subject::{LabelValue, PolicySubject};
use crate::diagnostic::Severity;
use crate::reference::Repository;
use crate::resolve::image::Base;

/// A rule: the texts for `check --explain` and SARIF, and the check itself.
#[derive(Debug)]
pub struct Rule {
    /// The stable id, as used in `[policy.severity]`.
    pub id: &'static str,
    /// The default severity; `[policy.severity]` overrides it.
    pub severity: Severity,
    /// True if no policy can disable the rule or lower its severity.
    pub fixed: bool,
    /// The requirement in one line, without a final period.
    pub summary: &'static str,
    /// The meaning of the rule, its reason, and how to correct a violation.
    pub docs: &'static str,
    /// The check; `None` for rules enforced while a file is loaded.
    pub(super) check: Option<Check>,
}

/// Checks a subject and adds its findings.
pub(super) type Check = fn(&CompiledPolicy<'_>, &PolicySubject<'_>, &mut Vec<Finding>);

/// Every rule, sorted by id.
pub static RULES: &[&Rule] = &[
    &base_allow::RULE,
    &base_deny_tags::RULE,
    &base_eol::RULE,
    &base_outdated::RULE,
    &base_require_digest::RULE,
    &base_revoked::RULE,
    &base_signed_by::RULE,
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
    &published_require::RULE,
    &required_labels::RULE,
    &size_growth::RULE,
    &size_layer::RULE,
    &size_packed::RULE,
    &size_unpacked::RULE,
];

/// The rule with this id.
#[must_use]
pub fn rule(id: &str) -> Option<&'static Rule> {
    RULES.iter().copied().find(|rule| rule.id == id)
}

/// The value of a label, if it is already known.
fn known_label<'s>(subject: &'s PolicySubject<'_>, label: &str) -> Option<&'s str> {
    match subject.labels.get(label)? {
        LabelValue::Known(value) => Some(value),
        LabelValue::Later => None,
    }
}

/// The repository of a base from outside the workspace.
const fn base_repository(base: &Base) -> Option<&Repository> {
    match base {
        Base::Reference(reference) => Some(&reference.repository),
        Base::Requirement { repository, .. } => Some(repository),
        Base::Scratch | Base::Layout(_) | Base::Workspace { .. } => None,
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
