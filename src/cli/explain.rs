//! `golden check --explain CODE`: the documentation of a rule, or of another code of a finding.

use super::codes::{self, CodeDocs};
use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use crate::diagnostic::Severity;
use crate::policy::{RULES, rule};
use crate::report::OutputFormat;
use crate::report::table::TextTable;
use crate::suggest::closest;

/// Prints the documentation of a rule or of another finding. Fails if nothing has this ID.
pub(super) fn explain(id: &str, context: &Context) -> Result<Exit, Failure> {
    if let Some(code) = codes::docs(id) {
        explain_code(code, context);
        return Ok(Exit::Done);
    }
    let Some(rule) = rule(id) else {
        let rules = RULES.iter().map(|rule| rule.id);
        let known: Vec<&str> = rules
            .chain(codes::CODES.iter().map(|code| code.id))
            .collect();
        let failure = Failure::usage(format!("there is no rule `{id}`"));
        return Err(match closest(id, known.iter().copied()) {
            Some(near) => failure.hint(format!("did you mean `{near}`?")),
            None => failure.hint(format!("the rules are {}", known.join(", "))),
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

/// Prints the documentation of a finding that is not a rule of the policy.
fn explain_code(code: &CodeDocs, context: &Context) {
    if context.format == OutputFormat::Json {
        context.out.json(&serde_json::json!({
            "rule": code.id,
            "fixed": true,
            "summary": code.summary,
            "docs": code.docs,
        }));
        return;
    }
    context.out.data(&format!(
        "{}: {}\n\n{}\nNo policy can change this finding.\n",
        code.id, code.summary, code.docs
    ));
}

/// Lists every code with its summary.
pub(super) fn list(context: &Context) -> Exit {
    let rules = RULES.iter().map(|rule| (rule.id, rule.summary));
    let codes = codes::CODES.iter().map(|code| (code.id, code.summary));
    let mut all: Vec<(&str, &str)> = rules.chain(codes).collect();
    all.sort_unstable();
    if context.format == OutputFormat::Json {
        let all: Vec<_> = all
            .iter()
            .map(|(id, summary)| serde_json::json!({ "rule": id, "summary": summary }))
            .collect();
        context.out.json(&serde_json::json!({ "rules": all }));
        return Exit::Done;
    }
    let mut table = TextTable::default();
    for (id, summary) in all {
        table.row([id, summary]);
    }
    context.out.data(&table.to_string());
    Exit::Done
}
