//! `base.revoked`, which is enforced once the bases are read.

use super::Rule;
use crate::diagnostic::Severity;

pub(super) static RULE: Rule = Rule {
    id: "base.revoked",
    severity: Severity::Error,
    fixed: false,
    summary: "the publisher of the base has not revoked it",
    docs: "\
A publisher announces in the registry that a version must not be used: with `golden revoke`, or with
[[lifecycle.revoked]] in its spec. `plan`, `build`, `push`, `outdated`, `update`, `promote` and `audit` read the
announcements about the digest of a base. `[policy.lifecycle] revoked` is the severity; a revocation that is planned for
a later day is a warning. Where a `[[trust]]` table has a key for the repository, only announcements that this key signed
count. `[policy.lifecycle] unknown` is the severity if the announcements cannot be read.

Use the replacement that the message names, or another version.
",
    check: None,
};
