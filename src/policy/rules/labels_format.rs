//! The rule `labels.format`.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Rule, known_label};
use crate::config_files::policy::LabelFormat;
use crate::diagnostic::Severity;
use crate::policy::compiled::CompiledPolicy;
use crate::policy::finding::Finding;
use crate::policy::subject::PolicySubject;
use crate::reference::Digest;

pub(super) static RULE: Rule = Rule {
    id: "labels.format",
    severity: Severity::Error,
    fixed: false,
    summary: "the value of a label has the format that the policy requires",
    docs: "\
`[policy.labels] KEY = { format = \"…\" }` requires a format for the value of the label KEY: url (absolute,
with a host), semver (2.0.0, without a leading v), email, rfc3339 (date and time), spdx (a license
expression such as `MIT OR Apache-2.0`) or digest (sha256:…). An image without the label is accepted;
`required_labels` requires the label itself.
",
    check: Some(check),
};

fn check(compiled: &CompiledPolicy<'_>, subject: &PolicySubject<'_>, found: &mut Vec<Finding>) {
    for (label, rule) in &compiled.policy.labels {
        let (Some(format), Some(value)) = (rule.format, known_label(subject, label)) else {
            continue;
        };
        if has_format(value, format) {
            continue;
        }
        let (name, example) = name_and_example(format);
        found.push(
            Finding::new(format!("label `{label}`: `{value}` is not {name}"))
                .key(&["labels", label], &format!("not {name}"))
                .required_by(&["labels", label, "format"])
                .help(format!("example: {example}")),
        );
    }
}

/// The name of a format with its article, and an example.
const fn name_and_example(format: LabelFormat) -> (&'static str, &'static str) {
    match format {
        LabelFormat::Url => ("a URL", "https://example.com/team/project"),
        LabelFormat::Semver => ("a version of semver 2.0.0", "1.2.3"),
        LabelFormat::Email => ("an email address", "team@example.com"),
        LabelFormat::Rfc3339 => ("an RFC 3339 date and time", "2024-05-06T07:08:09Z"),
        LabelFormat::Spdx => ("an SPDX license expression", "MIT OR Apache-2.0"),
        LabelFormat::Digest => ("a digest", "sha256: and 64 hexadecimal digits"),
    }
}

fn has_format(value: &str, format: LabelFormat) -> bool {
    match format {
        LabelFormat::Url => is_url(value),
        LabelFormat::Semver => semver::Version::parse(value).is_ok(),
        LabelFormat::Email => is_email(value),
        LabelFormat::Rfc3339 => OffsetDateTime::parse(value, &Rfc3339).is_ok(),
        LabelFormat::Spdx => spdx::Expression::parse(value).is_ok(),
        LabelFormat::Digest => value.parse::<Digest>().is_ok(),
    }
}

/// True if a value is an absolute URL with a host. The URL parser trims and repairs its input, but
/// a label must be correct as written.
fn is_url(value: &str) -> bool {
    !value.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\')
        && value.contains("://")
        && url::Url::parse(value)
            .is_ok_and(|url| url.host_str().is_some_and(|host| !host.is_empty()))
}

/// True if a value is an email address in the dot-atom form of RFC 5322, without comments, quotes
/// and folding.
fn is_email(value: &str) -> bool {
    let Some((local, domain)) = value.rsplit_once('@') else {
        return false;
    };
    let atom = |text: &str, more: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_alphanumeric() || more.contains(c))
    };
    let label = |text: &str| {
        atom(text, "-") && !text.starts_with('-') && !text.ends_with('-') && text.len() <= 63
    };
    local.len() <= 64
        && local
            .split('.')
            .all(|part| atom(part, "!#$%&'*+/=?^_`{|}~-"))
        && domain.contains('.')
        && domain.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_accept_valid_values_only() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let table: &[(LabelFormat, &[&str], &[&str])] = &[
            (
                LabelFormat::Url,
                &[
                    "https://example.com",
                    "ssh://git@host/path",
                    "http://[::1]:80/x?y#z",
                ],
                &[
                    "example.com",
                    "https://",
                    "mailto:a@b.c",
                    " https://a.b",
                    "https://a b",
                    "",
                    "https:/a.b",
                    "https://a.b/\u{7}",
                    "https:\\\\a.b",
                    "https://a.b\\c",
                ],
            ),
            (
                LabelFormat::Semver,
                &["1.2.3", "1.2.3-rc.1+b"],
                &["v1.2.3", "1.2", "01.2.3", "1.2.3 ", ""],
            ),
            (
                LabelFormat::Email,
                &[
                    "a@b.cd",
                    "first.last+tag@sub.example.com",
                    "grün@exämple.com",
                ],
                &[
                    "a@b",
                    "@b.cd",
                    "a@",
                    "a b@c.de",
                    "a@b..cd",
                    ".a@b.cd",
                    "a@-b.cd",
                    "A <a@b.cd>",
                    "",
                ],
            ),
            (
                LabelFormat::Rfc3339,
                &["2024-05-06T07:08:09Z", "2024-05-06T07:08:09.5+02:00"],
                &[
                    "2024-05-06",
                    "2024-13-06T07:08:09Z",
                    "2024-05-06T07:08:09",
                    "",
                ],
            ),
            (
                LabelFormat::Spdx,
                &[
                    "MIT",
                    "MIT OR Apache-2.0",
                    "GPL-2.0-or-later WITH Classpath-exception-2.0",
                ],
                &["MIT/Apache", "my own", "mit", ""],
            ),
            (
                LabelFormat::Digest,
                &[digest.as_str()],
                &["sha256:abc", "latest", ""],
            ),
        ];
        for (format, good, bad) in table {
            for value in *good {
                assert!(
                    has_format(value, *format),
                    "{format:?} should accept {value:?}"
                );
            }
            for value in *bad {
                assert!(
                    !has_format(value, *format),
                    "{format:?} should reject {value:?}"
                );
            }
        }
    }
}
