//! `certs.private_key`, applied where certificates are read.

use super::Rule;
use crate::diagnostic::Severity;

pub(super) static RULE: Rule = Rule {
    id: "certs.private_key",
    severity: Severity::Error,
    fixed: true,
    summary: "no file of [certs] holds a private key",
    docs: "\
A file that `[certs] trust` names has a private key in it. A trust store needs certificates alone, and everyone who can
pull the image could read the key. Built in: no policy can switch it off.

Put only the certificate into the file. If the key has ever been published, replace it.
",
    check: None,
};
