//! `base.eol`, which is enforced once the bases are read.

use super::Rule;
use crate::diagnostic::Severity;

pub(super) static RULE: Rule = Rule {
    id: "base.eol",
    severity: Severity::Warning,
    fixed: false,
    summary: "the base has not reached its end of life",
    docs: "\
A publisher announces the day of the end of life in the registry, as Microsoft does (artifact type
`application/vnd.microsoft.artifact.lifecycle`). golden reads the announcement about the digest of a base wherever it
reads revocations. `[policy.lifecycle] eol` is the severity. Where a `[[trust]]` table has a key for the repository,
only announcements that this key signed count.

Use a version that still gets updates.
",
    check: None,
};
