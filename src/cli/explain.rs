//! `golden check --explain RULE`: the documentation of a rule.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use crate::diagnostic::Severity;
use crate::policy::{RULES, rule};
use crate::report::OutputFormat;
use crate::suggest::closest;

/// Prints the documentation of a rule. Fails if no rule has this ID.
pub(super) fn explain(id: &str, context: &Context) -> Result<Exit, Failure> {
    let Some(rule) = rule(id) else {
        let known = || RULES.iter().map(|rule| rule.id);
        let failure = Failure::usage(format!("there is no rule `{id}`")).hint(format!(
            "the rules are {}",
            known().collect::<Vec<_>>().join(", ")
        ));
        return Err(match closest(id, known()) {
            Some(similar) => failure.hint(format!("did you mean `{similar}`?")),
            None => failure,
        });
    };
    if context.format == OutputFormat::Json {
        context.out.json(&serde_json::json!({
            "rule": rule.id,
            "severity": rule.severity,
            "fixed": rule.fixed,
            "summary": rule.summary,
            "docs": rule.docs,
        }));
        return Ok(Exit::Done);
    }
    let severity = match rule.severity {
        Severity::Error => "an error",
        Severity::Warning => "a warning",
    };
    let change = if rule.fixed {
        "a policy cannot change this".to_owned()
    } else {
        format!(
            "set \"{}\" to \"error\", \"warn\" or \"off\" in [policy.severity] to change this",
            rule.id
        )
    };
    context.out.data(&format!(
        "{}: {}\n\n{}\nThis rule is {severity} by default; {change}.\n",
        rule.id, rule.summary, rule.docs
    ));
    Ok(Exit::Done)
}
