//! The part of a policy that an audit of published images evaluates. Rules about bases, certificates
//! and unpacked sizes need the spec or the files of an image, which an audit does not have.

use super::apply::severity;
use super::compiled::{CompiledPolicy, day_of};
use super::rules::rule;
use crate::config_files::policy::{
    BasePolicy, CertsPolicy, LabelPolicy, LifecyclePolicy, Policy, RuleLevel, SizePolicy,
};
use crate::diagnostic::{NoKeys, Severity};

/// A rule that an audit evaluates, and a function that returns true if a policy sets it.
type AuditedRule = (&'static str, fn(&Policy) -> bool);

/// The rules that an audit evaluates.
const AUDITED: &[AuditedRule] = &[
    ("base.eol", |policy| {
        sets_lifecycle(policy, "base.eol", policy.lifecycle_levels().eol)
    }),
    ("base.revoked", |policy| {
        sets_lifecycle(policy, "base.revoked", policy.lifecycle_levels().revoked)
    }),
    ("config.deny_root", |policy| policy.config.deny_root),
    ("config.ports", |policy| policy.config.ports.is_some()),
    ("env.deny_secrets", |policy| policy.env.deny_secrets),
    ("labels.format", |policy| {
        any_label(policy, |label| label.format.is_some())
    }),
    ("labels.one_of", |policy| {
        any_label(policy, |label| label.one_of.is_some())
    }),
    ("labels.pattern", |policy| {
        any_label(policy, |label| label.pattern.is_some())
    }),
    ("published.require", |policy| {
        !policy.published.require.is_empty()
    }),
    ("required_labels", |policy| {
        !policy.required_labels.is_empty()
    }),
    ("size.packed", |policy| policy.size.packed.is_some()),
];

fn any_label(policy: &Policy, sets: fn(&LabelPolicy) -> bool) -> bool {
    policy.labels.values().any(sets)
}

/// True if a policy sets a rule about announcements, which also has a level by default.
fn sets_lifecycle(policy: &Policy, rule: &str, level: RuleLevel) -> bool {
    let is_set =
        policy.lifecycle != LifecyclePolicy::default() || policy.severity.contains_key(rule);
    is_set && level == RuleLevel::Error
}

/// The rules and exceptions of a policy that an audit at the time `now` evaluates, in seconds since
/// 1970. Returns `None` if none of them is set and an error: every image would comply.
#[must_use]
pub fn audited(policy: &Policy, now: i64) -> Option<Policy> {
    let (compiled, _) = CompiledPolicy::new(policy, &NoKeys);
    let is_error = |id: &str| {
        // The level of rules about announcements is in `[policy.lifecycle]` too.
        id.starts_with("base.")
            || rule(id).and_then(|rule| severity(&compiled, rule)) == Some(Severity::Error)
    };
    let fails = |(id, is_set): &AuditedRule| is_set(policy) && is_error(id);
    if !AUDITED.iter().any(fails) {
        return None;
    }
    let is_audited = |rule: &str| AUDITED.iter().any(|(id, _)| *id == rule);
    let today = day_of(now);
    let mut kept = Policy {
        base: BasePolicy::default(),
        certs: CertsPolicy::default(),
        size: SizePolicy {
            packed: policy.size.packed,
            ..SizePolicy::default()
        },
        ..policy.clone()
    };
    kept.severity.retain(|rule, _| is_audited(rule));
    kept.except
        .retain(|exception| is_audited(&exception.rule) && today <= exception.until.0);
    Some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> Policy {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_policy_needs_a_rule_that_an_audit_evaluates_and_that_is_an_error() {
        for (text, is_audited) in [
            ("", false),
            ("[base]\nallow = []\n", false),
            (
                "[base]\ndeny_tags = [\"latest\"]\nrequire_digest = true\nsigned_by = [\"a\"]\n",
                false,
            ),
            (
                "[size]\nunpacked = \"1B\"\nlayer = \"1B\"\ngrowth = \"1%\"\n",
                false,
            ),
            ("[certs]\nmin_days_left = 9\n", false),
            ("[severity]\n\"config.deny_root\" = \"error\"\n", false),
            (
                "required_labels = [\"a\"]\n[severity]\nrequired_labels = \"warn\"\n",
                false,
            ),
            (
                "required_labels = [\"a\"]\n[severity]\nrequired_labels = \"off\"\n",
                false,
            ),
            ("required_labels = [\"a\"]\n", true),
            ("[labels.a]\npattern = \"x\"\n", true),
            ("[labels.a]\none_of = [\"x\"]\n", true),
            ("[labels.a]\nformat = \"url\"\n", true),
            ("[config]\ndeny_root = true\n", true),
            ("[config]\nports = { min = 9 }\n", true),
            ("[env]\ndeny_secrets = true\n", true),
            ("[published]\nrequire = [\"sbom\"]\n", true),
            ("[size]\npacked = \"1B\"\n", true),
            ("[lifecycle]\neol = \"error\"\n", true),
            ("[lifecycle]\nrevoked = \"warn\"\n", false),
            ("[severity]\n\"base.revoked\" = \"error\"\n", true),
        ] {
            assert_eq!(audited(&policy(text), 0).is_some(), is_audited, "{text}");
        }
    }

    #[test]
    fn only_audited_rules_and_exceptions_in_force_remain() {
        let exception = |rule: &str, until: &str| {
            format!("[[except]]\nrule = \"{rule}\"\nreason = \"x\"\nuntil = \"{until}\"\n")
        };
        let rest = "required_labels = [\"a\"]\n[size]\npacked = \"1B\"\n";
        let text = format!(
            "{rest}unpacked = \"1B\"\n[base]\nallow = []\n[certs]\nmin_days_left = 9\n\
             [severity]\n\"base.allow\" = \"warn\"\n{}{}{}",
            exception("required_labels", "1970-01-01"),
            exception("size.packed", "1970-01-02"),
            exception("base.allow", "1970-01-09"),
        );
        let at = |day: i64| audited(&policy(&text), day * 24 * 60 * 60).unwrap();
        let first = exception("required_labels", "1970-01-01");
        let second = exception("size.packed", "1970-01-02");
        assert_eq!(at(0), policy(&format!("{rest}{first}{second}")));
        assert_eq!(at(1), policy(&format!("{rest}{second}")));
        assert_eq!(at(2), policy(rest));
    }
}
