//! The rule `config.healthcheck_inherited`.

use super::Rule;
use crate::diagnostic::Severity;
use crate::policy::compiled::CompiledPolicy;
use crate::policy::finding::Finding;
use crate::policy::subject::PolicySubject;

pub(super) static RULE: Rule = Rule {
    id: "config.healthcheck_inherited",
    severity: Severity::Warning,
    fixed: false,
    summary: "the image does not inherit a health check",
    docs: "\
An image inherits the health check of its base. That check tests the program of the base, which the image
may not run, so that its containers become unhealthy. This rule checks the built image.

Set healthcheck in [config], or disable it: healthcheck = { test = [\"NONE\"] }.
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
            .help("set healthcheck in [config], or disable it with healthcheck = { test = [\"NONE\"] }"),
    );
}
