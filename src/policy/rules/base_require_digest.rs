//! The rule `base.require_digest`.

use super::{Rule, base_repository};
use crate::diagnostic::Severity;
use crate::policy::compiled::CompiledPolicy;
use crate::policy::finding::Finding;
use crate::policy::subject::PolicySubject;
use crate::resolve::image::Base;

pub(super) static RULE: Rule = Rule {
    id: "base.require_digest",
    severity: Severity::Error,
    fixed: false,
    summary: "the base is pinned by digest",
    docs: "\
`[policy.base] require_digest = true` requires that every base from a registry is pinned, in the reference
(`NAME:TAG@sha256:…`) or in golden.lock. An image of an OCI layout is pinned by `oci:DIR:NAME@sha256:…`.
Without a pinned base, the same spec can give another image tomorrow.

`golden update` writes golden.lock.
",
    check: Some(check),
};

fn check(compiled: &CompiledPolicy<'_>, subject: &PolicySubject<'_>, found: &mut Vec<Finding>) {
    let Some(base) = subject.base.filter(|_| compiled.policy.base.require_digest) else {
        return;
    };
    let (name, help) = match base {
        Base::Reference(reference) if reference.digest.is_some() => return,
        Base::Layout(layout) if layout.pinned => return,
        Base::Layout(layout) => (
            layout.written.clone(),
            format!("write {}@{}", layout.written, layout.digest),
        ),
        _ if subject.locked => return,
        _ => {
            let Some(repository) = base_repository(base) else {
                return;
            };
            let help = "run `golden update` to write its digest into golden.lock, or write NAME:TAG@sha256:…";
            (repository.to_string(), help.to_owned())
        }
    };
    found.push(
        Finding::new(format!("the base `{name}` is not pinned by digest"))
            .key(&["image", "base"], "no digest")
            .required_by(&["base", "require_digest"])
            .help(help)
            .foreign_help(format!("write {name}:TAG@sha256:…, or use --fix")),
    );
}
