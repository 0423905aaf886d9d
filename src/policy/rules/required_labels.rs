//! `required_labels`.

use super::Rule;
use crate::config_files::typed::bare_or_quoted;
use crate::diagnostic::Severity;
use crate::policy::compiled::CompiledPolicy;
use crate::policy::finding::Finding;
use crate::policy::subject::{LabelValue, PolicySubject};

pub(super) static RULE: Rule = Rule {
    id: "required_labels",
    severity: Severity::Error,
    fixed: false,
    summary: "an image has every label that the policy requires",
    docs: "\
Every label in `[policy] required_labels` must exist and have a non-empty value. The labels of the image and
those that golden fills in count; labels inherited from the base do not, because they describe the base.

Add the label to [labels] in image.toml, or to [defaults.labels] in golden.toml for all images.
",
    check: Some(check),
};

fn check(compiled: &CompiledPolicy<'_>, subject: &PolicySubject<'_>, found: &mut Vec<Finding>) {
    for (index, label) in compiled.policy.required_labels.iter().enumerate() {
        let (message, note) = match subject.labels.get(label.as_str()) {
            Some(LabelValue::Known(value)) if value.is_empty() => (
                format!("the required label `{label}` is empty"),
                "must not be empty",
            ),
            Some(_) => continue,
            None => (format!("the required label `{label}` is missing"), ""),
        };
        found.push(
            Finding::new(message)
                .key(&["labels", label], note)
                .required_by(&["required_labels", &index.to_string()])
                .help(format!(
                    "add it to [labels]: {} = \"…\"",
                    bare_or_quoted(label)
                ))
                .foreign_help(format!(
                    "its publisher must set it, such as with LABEL {label}=\"…\" in the Dockerfile"
                )),
        );
    }
}
