//! The rule `size.layer`.

use super::Rule;
use super::size::{measured, too_large};
use crate::diagnostic::Severity;
use crate::policy::compiled::CompiledPolicy;
use crate::policy::finding::Finding;
use crate::policy::subject::PolicySubject;

pub(super) static RULE: Rule = Rule {
    id: "size.layer",
    severity: Severity::Error,
    fixed: false,
    summary: "the files of each layer of an image are not larger than the limit",
    docs: "\
`[policy.size] layer = \"200MB\"` limits the size of the files of each layer, uncompressed. The layers of the base
count too. Large layers are slow: an engine downloads several layers in parallel, but unpacks each layer alone.
golden checks it before it publishes an image; `audit` does not, because it does not read the layers.
",
    check: Some(check),
};

fn check(compiled: &CompiledPolicy<'_>, subject: &PolicySubject<'_>, found: &mut Vec<Finding>) {
    let Some((sizes, limits)) = measured(compiled, subject) else {
        return;
    };
    let Some(limit) = limits.layer else { return };
    let count = sizes.layers.len();
    for (index, layer) in sizes.layers.iter().enumerate() {
        if layer.unpacked > limit.0 {
            let what = format!("the files of layer {} of {count} have", index + 1);
            found.push(too_large(
                &what,
                layer.unpacked,
                limit,
                &layer.largest,
                "layer",
            ));
        }
    }
}
