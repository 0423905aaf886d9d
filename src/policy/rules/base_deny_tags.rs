//! The rule `base.deny_tags`.

use super::Rule;
use crate::diagnostic::Severity;
use crate::policy::compiled::CompiledPolicy;
use crate::policy::finding::Finding;
use crate::policy::subject::PolicySubject;
use crate::resolve::image::Base;

pub(super) static RULE: Rule = Rule {
    id: "base.deny_tags",
    severity: Severity::Error,
    fixed: false,
    summary: "the policy does not deny the tag of the base",
    docs: "\
`[policy.base] deny_tags` lists tags (globs) that a base must not have, such as `latest`. Such a tag points
to another image from time to time, so the image built on it would change too. A base without tag and
digest has the tag `latest`.

Use a tag with a version, or pin the base by digest without a tag.
",
    check: Some(check),
};

fn check(compiled: &CompiledPolicy<'_>, subject: &PolicySubject<'_>, found: &mut Vec<Finding>) {
    let (tag, implied) = match subject.base {
        Some(Base::Reference(reference)) => match (&reference.tag, &reference.digest) {
            (Some(tag), _) => (tag.as_str(), ""),
            (None, Some(_)) => return,
            (None, None) => ("latest", " (the default)"),
        },
        // The name of an image in a layout may be a reference; its tag follows the last colon.
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
        .required_by(&["base", "deny_tags"])
        .help("use a tag with a version, or pin the base by digest without a tag"),
    );
}
