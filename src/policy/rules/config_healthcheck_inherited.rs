//! `config.healthcheck_inherited`.

use super::Rule;
use crate::diagnostic::Severity;
use crate::policy::compile::CompiledPolicy;
use crate::policy::finding::Finding;
use crate::policy::subject::PolicySubject;

pub(super) static RULE: Rule = Rule {
    id: "config.healthcheck_inherited",
    severity: Severity::Warning,
    fixed: false,
    summary: "no health check of the base checks another program",
    docs: "\
A health check is inherited. The one of a base checks the base's own program, which the image may not run, so that its
containers become unhealthy. This rule reports it on the image that was built.

Set healthcheck in [config], or switch it off: healthcheck = { test = [\"NONE\"] }.
",
    check: Some(check),
};

fn check(_: &CompiledPolicy<'_>, subject: &PolicySubject<'_>, found: &mut Vec<Finding>) {
    let Some(test) = &subject.inherited_healthcheck else {
        return;
    };
    found.push(
        Finding::new(format!("the health check of the base is inherited: {test}"))
            .key(&["config", "healthcheck"], "")
            .help("set healthcheck in [config], or switch it off with healthcheck = { test = [\"NONE\"] }"),
    );
}
