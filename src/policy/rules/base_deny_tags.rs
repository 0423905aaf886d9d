//! `base.deny_tags`.

use super::Rule;
use crate::diagnostic::Severity;
use crate::policy::compile::CompiledPolicy;
use crate::policy::finding::Finding;
use crate::policy::subject::PolicySubject;
use crate::resolve::image::Base;

pub(super) static RULE: Rule = Rule {
    id: "base.deny_tags",
    severity: Severity::Error,
    fixed: false,
    summary: "the base's tag is none that the policy denies",
    docs: "\
`[policy.base] deny_tags` lists tags (globs) that a base may not have, such as `latest`: what they name changes from
day to day, and so would the image. A base without a tag and without a digest has the tag `latest`.

Name a version, or pin the base by digest alone.
",
    check: Some(check),
};

fn check(compiled: &CompiledPolicy<'_>, subject: &PolicySubject<'_>, found: &mut Vec<Finding>) {
    let (tag, implied) = match subject.base {
        Some(Base::Reference(reference)) => match (&reference.tag, &reference.digest) {
            (Some(tag), _) => (tag.as_str(), ""),
            (None, Some(_)) => return,
            (None, None) => ("latest", ", which is meant where none is written"),
        },
        // What a layout calls an image need not be a reference; what follows the last colon is the tag of one that is.
        Some(Base::Layout(layout)) => match layout.name.as_deref() {
            Some(name) => (name.rsplit(':').next().unwrap_or(name), ""),
            None => return,
        },
        _ => return,
    };
    if !compiled.deny_tags.iter().any(|glob| glob.is_match(tag)) {
        return;
    }
    found.push(
        Finding::new(format!(
            "the base has the tag `{tag}`{implied}; the policy denies it"
        ))
        .key(&["image", "base"], "tag is denied")
        .asked_by(&["base", "deny_tags"])
        .help("name a version, or pin the base by digest alone"),
    );
}
