//! `base.allow`.

use super::{Rule, base_repository};
use crate::diagnostic::Severity;
use crate::policy::compile::CompiledPolicy;
use crate::policy::finding::Finding;
use crate::policy::subject::PolicySubject;
use crate::resolve::image::Base;

pub(super) static RULE: Rule = Rule {
    id: "base.allow",
    severity: Severity::Error,
    fixed: false,
    summary: "the base is one that the policy allows",
    docs: "\
`[policy.base] allow` lists globs over the base in full, with its registry: `debian` is `docker.io/library/debian`.
`*` stays within one part of the path, `**` does not. A glob may name the repository alone, or go on with the tag
(`docker.io/library/debian:12*`) or digest. `scratch` is always allowed, and so is another image of the workspace,
whose own base is judged. An image of an OCI layout is judged as it is written, or by `oci:*`, which allows
all of them.
",
    check: Some(check),
};

fn check(compiled: &CompiledPolicy<'_>, subject: &PolicySubject<'_>, found: &mut Vec<Finding>) {
    let (Some(allow), Some(base)) = (&compiled.allow, subject.base) else {
        return;
    };
    let mut names = match (base, base_repository(base)) {
        // A layout's path is no repository's: the second form lets `*` match all of it.
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
            .asked_by(&["base", "allow"])
            .help(help),
    );
}
