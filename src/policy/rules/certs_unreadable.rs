//! `certs.unreadable`, which is enforced while certificates are read.

use super::Rule;
use crate::diagnostic::Severity;

pub(super) static RULE: Rule = Rule {
    id: "certs.unreadable",
    severity: Severity::Error,
    fixed: true,
    summary: "every file of [certs] contains valid certificates",
    docs: "\
A file in `[certs] trust` is not PEM, contains no certificate, or contains one that does not parse. The
trust tools of distributions skip such a file without a message, and the image would not trust the
authority. No policy can disable this rule.

Convert a DER file to PEM with: openssl x509 -inform der -in FILE -out FILE.crt
",
    check: None,
};
