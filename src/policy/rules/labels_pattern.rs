//! `labels.pattern`.

use super::{Rule, known_label};
use crate::diagnostic::Severity;
use crate::policy::compile::CompiledPolicy;
use crate::policy::finding::Finding;
use crate::policy::subject::PolicySubject;

pub(super) static RULE: Rule = Rule {
    id: "labels.pattern",
    severity: Severity::Error,
    fixed: false,
    summary: "a label's whole value matches the policy's pattern",
    docs: "\
`[policy.labels] KEY = { pattern = '…' }` asks that the whole value of the label KEY matches a regular expression
(the syntax of Rust's regex crate). An image without the label passes; `required_labels` asks for its presence.
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
        let wanted = compiled
            .policy
            .labels
            .get(*label)
            .and_then(|rule| rule.pattern.as_deref());
        found.push(
            Finding::new(format!(
                "label `{label}`: `{value}` does not match `{}`",
                wanted.unwrap_or_default()
            ))
            .key(&["labels", label], "does not match")
            .asked_by(&["labels", label, "pattern"])
            .help("the whole value must match the pattern"),
        );
    }
}
