//! The rule `certs.min_days_left`.

use super::Rule;
use crate::diagnostic::Severity;
use crate::policy::compiled::CompiledPolicy;
use crate::policy::finding::Finding;
use crate::policy::subject::PolicySubject;

pub(super) static RULE: Rule = Rule {
    id: "certs.min_days_left",
    severity: Severity::Error,
    fixed: false,
    summary: "every certificate is valid for the required number of days",
    docs: "\
`[policy.certs] min_days_left = 30` requires that each certificate in `[certs] trust` is valid for at least
30 more days. An image is used long after its build, and connections fail when a root certificate expires.

Add the new certificate of the authority to [certs] in addition to the old one, and rebuild.
",
    check: Some(check),
};

const DAY: i64 = 24 * 60 * 60;

fn check(compiled: &CompiledPolicy<'_>, subject: &PolicySubject<'_>, found: &mut Vec<Finding>) {
    let Some(days) = compiled.policy.certs.min_days_left else {
        return;
    };
    for certificate in subject.certificates {
        let left = certificate.not_after.saturating_sub(subject.now);
        if left >= i64::from(days) * DAY {
            continue;
        }
        let when = match left.div_euclid(DAY) {
            _ if left < 0 => format!("expired {} ago", in_days((-left) / DAY)),
            left => format!("expires in {}", in_days(left)),
        };
        let (subject, file) = (&certificate.subject, certificate.file.display());
        found.push(
            Finding::new(format!(
                "the certificate `{subject}` of {file} {when}; the policy requires {}",
                in_days(i64::from(days))
            ))
            .key(&["certs", "trust"], "")
            .required_by(&["certs", "min_days_left"])
            .help("replace it with the newer certificate of the authority"),
        );
    }
}

fn in_days(days: i64) -> String {
    if days == 1 {
        "1 day".to_owned()
    } else {
        format!("{days} days")
    }
}
