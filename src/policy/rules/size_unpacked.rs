//! The rule `size.unpacked`.

use super::Rule;
use super::size::{measured, too_large};
use crate::diagnostic::Severity;
use crate::policy::compiled::CompiledPolicy;
use crate::policy::finding::Finding;
use crate::policy::subject::PolicySubject;

pub(super) static RULE: Rule = Rule {
    id: "size.unpacked",
    severity: Severity::Error,
    fixed: false,
    summary: "the files of an image are not larger than the limit",
    docs: "\
`[policy.size] unpacked = \"500MB\"` limits the size of the files of all layers together: the space that an engine
needs. A file that a higher layer replaces or removes counts too, because its layer still contains it. Each
platform must meet the limit. golden checks it before it publishes an image; `audit` does not, because it does not
read the layers.
",
    check: Some(check),
};

fn check(compiled: &CompiledPolicy<'_>, subject: &PolicySubject<'_>, found: &mut Vec<Finding>) {
    let Some((sizes, limits)) = measured(compiled, subject) else {
        return;
    };
    let layers = sizes.layers.iter().map(|layer| layer.unpacked);
    let unpacked = layers.fold(0, u64::saturating_add);
    if let Some(limit) = limits.unpacked.filter(|limit| unpacked > limit.0) {
        let what = "the files of the layers have";
        found.push(too_large(what, unpacked, limit, &sizes.largest, "unpacked"));
    }
}
