//! The rule `published.require`.

use super::Rule;
use crate::diagnostic::Severity;
use crate::policy::compiled::CompiledPolicy;
use crate::policy::finding::Finding;
use crate::policy::subject::PolicySubject;

pub(super) static RULE: Rule = Rule {
    id: "published.require",
    severity: Severity::Error,
    fixed: false,
    summary: "a published image has the required signature, bill of materials and provenance",
    docs: "\
`[policy.published] require = [\"signature\", \"sbom\", \"provenance\"]` requires these artifacts of every published
image. `audit` and `verify` check it. A signature counts if it is by a key of a `[[trust]]` table whose globs match
the repository. A bill of materials (CycloneDX or SPDX) or a provenance statement (SLSA) counts if it is attached to
the image or to the index that contains it; its content and its signature are not verified.

`golden sign` adds a signature, and `golden attest` attaches a statement.
",
    check: Some(check),
};

fn check(_: &CompiledPolicy<'_>, subject: &PolicySubject<'_>, found: &mut Vec<Finding>) {
    for problem in subject.lacking {
        found.push(
            Finding::new(format!("the image {problem}"))
                .required_by(&["published", "require"])
                .help("attach it with `golden sign` or `golden attest`"),
        );
    }
}
