//! `certs.private_key`, which is enforced while certificates are read.

use super::Rule;
use crate::diagnostic::Severity;

pub(super) static RULE: Rule = Rule {
    id: "certs.private_key",
    severity: Severity::Error,
    fixed: true,
    summary: "no file of [certs] contains a private key",
    docs: "\
A file in `[certs] trust` contains a private key. A trust store needs certificates only, and everyone who
can pull the image could read the key. No policy can disable this rule.

Put only the certificate into the file. If the key has ever been published, replace it.
",
    check: None,
};
