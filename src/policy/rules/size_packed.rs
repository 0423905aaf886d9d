//! The rule `size.packed`.

use super::Rule;
use super::size::{measured, too_large};
use crate::diagnostic::Severity;
use crate::policy::compiled::CompiledPolicy;
use crate::policy::finding::Finding;
use crate::policy::subject::PolicySubject;

pub(super) static RULE: Rule = Rule {
    id: "size.packed",
    severity: Severity::Error,
    fixed: false,
    summary: "the compressed layers of an image are not larger than the limit",
    docs: "\
`[policy.size] packed = \"150MB\"` limits the size of all layers together, as the registry stores them: what a
machine downloads. A layer that an image contains twice counts once. Each platform must meet the limit. `audit`
checks published images too, without the list of the largest files.
",
    check: Some(check),
};

fn check(compiled: &CompiledPolicy<'_>, subject: &PolicySubject<'_>, found: &mut Vec<Finding>) {
    let Some((sizes, limits)) = measured(compiled, subject) else {
        return;
    };
    if let Some(limit) = limits.packed.filter(|limit| sizes.packed > limit.0) {
        let what = "the compressed layers have";
        found.push(too_large(
            what,
            sizes.packed,
            limit,
            &sizes.largest,
            "packed",
        ));
    }
}
