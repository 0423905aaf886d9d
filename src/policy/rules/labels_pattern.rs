//! The rule `labels.pattern`.

use super::{Rule, known_label};
use crate::diagnostic::Severity;
use crate::policy::compiled::CompiledPolicy;
use crate::policy::finding::Finding;
use crate::policy::subject::PolicySubject;

pub(super) static RULE: Rule = Rule {
    id: "labels.pattern",
    severity: Severity::Error,
    fixed: false,
    summary: "the whole value of a label matches the pattern of the policy",
    docs: "\
`[policy.labels] KEY = { pattern = '…' }` requires that the whole value of the label KEY matches a regular
expression (in the syntax of Rust's regex crate). An image without the label is accepted;
`required_labels` requires the label itself.
",
    check: Some(check),
};

fn check(compiled: &CompiledPolicy<'_>, subject: &PolicySubject<'_>, found: &mut Vec<Finding>) {
    for (label, pattern) in &compiled.patterns {
        let Some(value) = known_label(subject, label) else {
            continue;
        };
        if pattern.is_match(value) {
            continue;
        }
        let source = compiled
            .policy
            .labels
            .get(*label)
            .and_then(|rule| rule.pattern.as_deref());
        found.push(
            Finding::new(format!(
                "label `{label}`: `{value}` does not match `{}`",
                source.unwrap_or_default()
            ))
            .key(&["labels", label], "does not match")
            .required_by(&["labels", label, "pattern"])
            .help("the whole value must match the pattern"),
        );
    }
}
