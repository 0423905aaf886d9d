//! `certs.unreadable`, applied where certificates are read.

use super::Rule;
use crate::diagnostic::Severity;

pub(super) static RULE: Rule = Rule {
    id: "certs.unreadable",
    severity: Severity::Error,
    fixed: true,
    summary: "every file of [certs] holds certificates that parse",
    docs: "\
A file that `[certs] trust` names is not PEM, has no certificate in it, or has one that does not parse. The trust tools
of distributions skip such a file in silence, and the image would miss the authority. Built in: no policy can switch
it off.

A DER file becomes PEM with: openssl x509 -inform der -in FILE -out FILE.crt
",
    check: None,
};
