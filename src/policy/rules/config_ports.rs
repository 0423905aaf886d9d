//! The rule `config.ports`.

use super::Rule;
use crate::diagnostic::Severity;
use crate::policy::compiled::CompiledPolicy;
use crate::policy::finding::Finding;
use crate::policy::subject::PolicySubject;

pub(super) static RULE: Rule = Rule {
    id: "config.ports",
    severity: Severity::Error,
    fixed: false,
    summary: "exposed ports are in the range of the policy",
    docs: "\
`[policy.config] ports = { min = 1024, max = 65535 }` limits the ports that an image exposes; both ends are
included. Ports below 1024 need privileges that a golden image should not need.
",
    check: Some(check),
};

fn check(compiled: &CompiledPolicy<'_>, subject: &PolicySubject<'_>, found: &mut Vec<Finding>) {
    let Some(range) = compiled.policy.config.ports else {
        return;
    };
    let (min, max) = (u32::from(range.min), u32::from(range.max));
    let outside: Vec<&str> = subject
        .ports
        .iter()
        .filter(|(first, last, _)| *first < min || *last > max)
        .map(|(_, _, text)| text.as_str())
        .collect();
    if outside.is_empty() {
        return;
    }
    let (ports, are) = if outside.len() == 1 {
        ("port", "is")
    } else {
        ("ports", "are")
    };
    found.push(
        Finding::new(format!(
            "{ports} {} {are} outside of {min} to {max}",
            shortened(&outside)
        ))
        .key(&["config", "expose"], "")
        .required_by(&["config", "ports"])
        .help(format!("expose ports from {min} to {max}")),
    );
}

/// Lists up to six ports, or the first four and the last of a longer list.
fn shortened(ports: &[&str]) -> String {
    if ports.len() <= 6 {
        ports.join(", ")
    } else {
        format!("{}, … {}", ports[..4].join(", "), ports[ports.len() - 1])
    }
}
