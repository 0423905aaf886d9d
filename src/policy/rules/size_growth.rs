//! The rule `size.growth`.

use super::Rule;
use super::size::{measured, with_files};
use crate::config_files::byte_size::ByteSize;
use crate::diagnostic::Severity;
use crate::policy::compiled::CompiledPolicy;
use crate::policy::finding::Finding;
use crate::policy::subject::PolicySubject;

pub(super) static RULE: Rule = Rule {
    id: "size.growth",
    severity: Severity::Error,
    fixed: false,
    summary: "an image does not grow more than the limit from one version to the next",
    docs: "\
`[policy.size] growth = \"10%\"` limits the growth of the compressed layers since the newest earlier version that
the registry has; a size such as `\"5MB\"` is possible too. Each platform is compared with the same platform. `build
--push` and `push` check it. The first version of an image and a new platform have nothing to be compared with.
",
    check: Some(check),
};

fn check(compiled: &CompiledPolicy<'_>, subject: &PolicySubject<'_>, found: &mut Vec<Finding>) {
    let Some((sizes, limits)) = measured(compiled, subject) else {
        return;
    };
    let (Some(limit), Some(previous)) = (limits.growth, &sizes.previous) else {
        return;
    };
    let growth = sizes.packed.saturating_sub(previous.packed);
    if growth <= limit.allowed(previous.packed) {
        return;
    }
    let message = format!(
        "the compressed layers grew by {}, from {} in {} to {}, more than {limit}",
        ByteSize(growth).exact(),
        ByteSize(previous.packed).exact(),
        previous.reference,
        ByteSize(sizes.packed).exact()
    );
    found.push(Finding::new(with_files(message, &sizes.largest)).required_by(&["size", "growth"]));
}
