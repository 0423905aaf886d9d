//! Applies the rules to a subject.

use super::compiled::CompiledPolicy;
use super::finding::locate;
use super::rules::{RULES, Rule};
use super::subject::PolicySubject;
use crate::config_files::policy::RuleLevel;
use crate::diagnostic::{Diagnostic, Diagnostics, KeyFinder, Severity};

/// The severity of a rule; `None` if the policy disables it.
pub(super) fn severity(compiled: &CompiledPolicy<'_>, rule: &Rule) -> Option<Severity> {
    match compiled.policy.severity.get(rule.id) {
        Some(RuleLevel::Off) if !rule.fixed => None,
        Some(RuleLevel::Warn) if !rule.fixed => Some(Severity::Warning),
        Some(RuleLevel::Error) => Some(Severity::Error),
        _ => Some(rule.severity),
    }
}

/// Applies every enabled rule.
pub(super) fn apply_rules(
    compiled: &CompiledPolicy<'_>,
    subject: &PolicySubject<'_>,
    places: Option<&dyn KeyFinder>,
) -> Diagnostics {
    apply_each(RULES, compiled, subject, places)
}

/// Applies those of `rules` that are enabled.
pub(super) fn apply_each<'r>(
    rules: impl IntoIterator<Item = &'r &'static Rule>,
    compiled: &CompiledPolicy<'_>,
    subject: &PolicySubject<'_>,
    places: Option<&dyn KeyFinder>,
) -> Diagnostics {
    let mut diagnostics = Diagnostics::new();
    for rule in rules {
        let Some(severity) = severity(compiled, rule) else {
            continue;
        };
        let Some(check) = rule.check else { continue };
        if compiled.excepts(rule.id, subject) {
            continue;
        }
        let mut findings = Vec::new();
        check(compiled, subject, &mut findings);
        for finding in findings {
            let mut diagnostic = Diagnostic::error(rule.id, finding.message.clone()).of_policy();
            diagnostic.severity = severity;
            diagnostic.image.clone_from(&subject.name);
            let foreign = finding.foreign_help.as_ref();
            let foreign = foreign.filter(|_| subject.is_foreign);
            diagnostic.help = foreign.or(finding.help.as_ref()).cloned();
            if let (Some(places), Some(file)) = (places, subject.file) {
                locate(&mut diagnostic, &finding, file, places);
            }
            diagnostics.push(diagnostic);
        }
    }
    diagnostics
}
