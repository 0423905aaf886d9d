//! The rule `labels.one_of`.

use super::{Rule, known_label};
use crate::config_files::quoted::quoted;
use crate::diagnostic::Severity;
use crate::policy::compiled::CompiledPolicy;
use crate::policy::finding::Finding;
use crate::policy::subject::PolicySubject;
use crate::suggest::closest;

pub(super) static RULE: Rule = Rule {
    id: "labels.one_of",
    severity: Severity::Error,
    fixed: false,
    summary: "a label has one of the allowed values",
    docs: "\
`[policy.labels] KEY = { one_of = [\"a\", \"b\"] }` requires that the label KEY has one of the listed values,
exactly as written. An image without the label is accepted; `required_labels` requires the label itself.
",
    check: Some(check),
};

fn check(compiled: &CompiledPolicy<'_>, subject: &PolicySubject<'_>, found: &mut Vec<Finding>) {
    for (label, rule) in &compiled.policy.labels {
        let (Some(allowed), Some(value)) = (&rule.one_of, known_label(subject, label)) else {
            continue;
        };
        if allowed.iter().any(|one| one == value) {
            continue;
        }
        let help = closest(value, allowed.iter().map(String::as_str)).map_or_else(
            || format!("the allowed values are {}", list(allowed)),
            |similar| {
                format!(
                    "did you mean {}? The allowed values are {}",
                    quoted(similar),
                    list(allowed)
                )
            },
        );
        found.push(
            Finding::new(format!(
                "label `{label}`: `{value}` is not one of the allowed values"
            ))
            .key(&["labels", label], "not allowed")
            .required_by(&["labels", label, "one_of"])
            .help(help),
        );
    }
}

fn list(values: &[String]) -> String {
    let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
    values.join(", ")
}
