//! `config.ports`.

use super::Rule;
use crate::diagnostic::Severity;
use crate::policy::compile::CompiledPolicy;
use crate::policy::finding::Finding;
use crate::policy::subject::PolicySubject;

pub(super) static RULE: Rule = Rule {
    id: "config.ports",
    severity: Severity::Error,
    fixed: false,
    summary: "exposed ports are within the policy's range",
    docs: "\
`[policy.config] ports = { min = 1024, max = 65535 }` bounds the ports that an image exposes, both ends included. Ports
below 1024 need privileges that a golden image should not ask for.
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
        .asked_by(&["config", "ports"])
        .help(format!("expose ports from {min} to {max}")),
    );
}

/// A range of thousands of ports should not fill the screen.
fn shortened(ports: &[&str]) -> String {
    if ports.len() <= 6 {
        ports.join(", ")
    } else {
        format!("{}, … {}", ports[..4].join(", "), ports[ports.len() - 1])
    }
}
