//! `base.signed_by`, which is enforced once the bases are read.

use super::Rule;
use crate::diagnostic::Severity;

pub(super) static RULE: Rule = Rule {
    id: "base.signed_by",
    severity: Severity::Error,
    fixed: false,
    summary: "a trusted key signed the base",
    docs: "\
`[policy.base] signed_by` lists names of `[[trust]]` tables. Each external base must have a signature, as a
bundle or as a simple signature, of exactly the digest that the image is built on, by a key of one of these
tables whose globs match the repository of the base. `plan`, `build`, `push` and `update` verify this before
any build; `check` uses no registry and does not. `scratch` and other images of the workspace are always
allowed; the bases of those images are verified. A base that exists only in an engine or in an OCI layout has
no signature that golden reads, so it violates the rule.
",
    check: None,
};
