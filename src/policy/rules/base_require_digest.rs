//! `base.require_digest`.

use super::{Rule, base_repository};
use crate::diagnostic::Severity;
use crate::policy::compile::Compiled;
use crate::policy::finding::Finding;
use crate::policy::subject::Subject;
use crate::resolve::image::Base;

pub(super) static RULE: Rule = Rule {
    id: "base.require_digest",
    severity: Severity::Error,
    fixed: false,
    summary: "the base is pinned by digest",
    docs: "\
`[policy.base] require_digest = true` asks that every base from a registry is pinned: by the reference itself
(`NAME:TAG@sha256:…`) or by golden.lock. Only then does the same spec give the same image tomorrow.

`golden update` writes golden.lock.
",
    check: Some(check),
};

fn check(compiled: &Compiled<'_>, subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let Some(base) = subject.base.filter(|_| compiled.policy.base.require_digest) else { return };
    let Some(repository) = base_repository(base) else { return };
    let pinned = matches!(base, Base::Reference(reference) if reference.digest.is_some());
    if pinned || subject.locked {
        return;
    }
    found.push(
        Finding::new(format!("the base `{repository}` is not pinned by digest"))
            .key(&["image", "base"], "no digest")
            .asked_by(&["base", "require_digest"])
            .help("run `golden update` to write its digest into golden.lock, or write NAME:TAG@sha256:…"),
    );
}
