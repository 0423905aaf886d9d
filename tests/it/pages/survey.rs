//! A synthetic audit of a namespace. It is the same in each run.

use golden::app::audit::{Audited, AuditedImage};
use golden::diagnostic::{Diagnostic, Diagnostics, Severity};
use golden::reference::{Digest, Reference};

const HOST: &str = "registry.example.com/team";

/// An image and the rules that it violates.
const IMAGES: [(&str, &[&str]); 9] = [
    ("gateway:3.2.0", &[]),
    ("gateway:3.1.4", &["required_labels"]),
    ("payments:4.18.0", &[]),
    ("payments:4.17.2", &["config.deny_root", "required_labels"]),
    ("reports/export:1.4.0", &["config.ports"]),
    ("search:2.0.3", &[]),
    ("search:2.0.2", &["config.ports"]),
    ("web:8.1.0", &[]),
    (
        "web:8.0.0",
        &["config.deny_root", "config.ports", "env.deny_secrets"],
    ),
];

fn finding(rule: &'static str, image: &str) -> Diagnostic {
    let finding = match rule {
        "config.deny_root" => Diagnostic::error(
            rule,
            "the image runs as root, because no user is set",
        )
        .help(
            "its publisher must set another user, such as with USER 10001:10001 in the Dockerfile",
        ),
        "config.ports" => Diagnostic::warning(rule, "the port 80 is below 1024"),
        "env.deny_secrets" => {
            Diagnostic::error(rule, "the value of DB_PASSWORD looks like a secret")
                .help("remove it, and give it to the container when it starts")
        }
        _ => Diagnostic::error(rule, "the required label `owner` is missing")
            .help("its publisher must set it, such as with LABEL owner=\"…\" in the Dockerfile"),
    };
    finding.of_policy().about(image)
}

fn image(name: &str, rules: &[&'static str]) -> AuditedImage {
    let reference: Reference = format!("{HOST}/{name}").parse().unwrap();
    let platforms = ["linux/amd64", "linux/arm64"].map(str::to_owned);
    let mut found = Diagnostics::new();
    for platform in &platforms {
        for rule in rules {
            found.push(finding(rule, &format!("{reference} ({platform})")));
        }
    }
    let number = |severity| found.iter().filter(|one| one.severity == severity).count();
    let (errors, warnings) = (number(Severity::Error), number(Severity::Warning));
    AuditedImage {
        digest: Digest::of(name.as_bytes()),
        reference,
        tags: Vec::new(),
        platforms: platforms.to_vec(),
        compliant: errors == 0,
        errors,
        warnings,
        rules: rules.iter().map(|&rule| rule.to_owned()).collect(),
        found,
    }
}

/// The result of `golden audit 'registry.example.com/team/**'`.
pub(crate) fn survey() -> Audited {
    Audited {
        images: IMAGES
            .iter()
            .map(|(name, rules)| image(name, rules))
            .collect(),
        repositories: 5,
        is_survey: true,
        ..Audited::default()
    }
}
