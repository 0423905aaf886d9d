//! The rule `base.allow`.

use super::{Rule, base_repository};
use crate::diagnostic::Severity;
use crate::policy::compiled::CompiledPolicy;
use crate::policy::finding::Finding;
use crate::policy::subject::PolicySubject;
use crate::resolve::image::Base;

pub(super) static RULE: Rule = Rule {
    id: "base.allow",
    severity: Severity::Error,
    fixed: false,
    summary: "the policy allows the base",
    docs: "\
`[policy.base] allow` lists globs over the full reference of the base, with its registry: `debian` is
`docker.io/library/debian`. `*` does not match `/`, `**` does. A glob may contain the repository only, or
also the tag (`docker.io/library/debian:12*`) or the digest. `scratch` and other images of the workspace
are always allowed; the rule checks the bases of those images. An image of an OCI layout must match as
written; `oci:*` allows all of them.
",
    check: Some(check),
};

fn check(compiled: &CompiledPolicy<'_>, subject: &PolicySubject<'_>, found: &mut Vec<Finding>) {
    let (Some(allow), Some(base)) = (&compiled.allow, subject.base) else {
        return;
    };
    let mut names = match (base, base_repository(base)) {
        // The path of a layout may contain `/`: in the second form `*` matches all of it.
        (Base::Layout(layout), _) => vec![layout.written.clone(), layout.written.replace('/', ":")],
        (_, Some(repository)) => vec![repository.to_string()],
        (_, None) => return,
    };
    if let Base::Reference(reference) = base {
        let repository = &reference.repository;
        names.push(reference.to_string());
        names.extend(
            reference
                .tag
                .as_ref()
                .map(|tag| format!("{repository}:{tag}")),
        );
        names.extend(
            reference
                .digest
                .as_ref()
                .map(|digest| format!("{repository}@{digest}")),
        );
    }
    if names
        .iter()
        .any(|name| allow.iter().any(|glob| glob.is_match(name)))
    {
        return;
    }
    let shown = match base {
        Base::Reference(reference) => reference.to_string(),
        _ => names.swap_remove(0),
    };
    let globs = compiled.policy.base.allow.as_deref().unwrap_or_default();
    let help = if globs.is_empty() {
        "the policy allows only scratch and images of this workspace".to_owned()
    } else {
        format!("the policy allows {}", globs.join(", "))
    };
    found.push(
        Finding::new(format!("the base `{shown}` is not allowed"))
            .key(&["image", "base"], "not allowed")
            .required_by(&["base", "allow"])
            .help(help),
    );
}
