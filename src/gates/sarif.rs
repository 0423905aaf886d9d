//! Results in a SARIF log (OASIS SARIF 2.1.0), and exceptions from them.

use serde_json::{Value, json};

use super::GateResult;
use crate::config_files::gate_table::GateException;

/// The reason of a suppression that golden has added.
const JUSTIFICATION: &str = "/suppressions/0/justification";

/// Suppresses the results that have an exception.
pub(super) fn with_exceptions(
    mut log: Value,
    exceptions: &[GateException],
    today: time::Date,
) -> Value {
    let runs = log.get_mut("runs").and_then(Value::as_array_mut);
    for run in runs.into_iter().flatten() {
        let rules = run
            .pointer("/tool/driver/rules")
            .cloned()
            .unwrap_or_default();
        let results = run.get_mut("results").and_then(Value::as_array_mut);
        for result in results.into_iter().flatten() {
            let id = id(result, &rules);
            let exception = exceptions
                .iter()
                .find(|exception| exception.id == id && exception.until.0 >= today);
            if let (Some(exception), Some(fields)) = (exception, result.as_object_mut()) {
                let reason = format!("{} (until {})", exception.reason, exception.until);
                let suppression = json!([{
                    "kind": "external",
                    "status": "accepted",
                    "justification": reason,
                }]);
                fields.insert("suppressions".to_owned(), suppression);
            }
        }
    }
    log
}

/// The results of all runs that are a problem.
pub(super) fn results(log: &Value) -> Vec<GateResult> {
    let mut found = Vec::new();
    let runs = log.get("runs").and_then(Value::as_array);
    for run in runs.into_iter().flatten() {
        let rules = run
            .pointer("/tool/driver/rules")
            .cloned()
            .unwrap_or_default();
        let results = run.get("results").and_then(Value::as_array);
        let problems = results.into_iter().flatten().filter(|one| is_problem(one));
        found.extend(problems.map(|result| GateResult {
            id: id(result, &rules),
            message: text(result, "/message/text"),
            excepted: excepted(result),
        }));
    }
    found
}

fn text(value: &Value, pointer: &str) -> String {
    let text = value.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

/// The rule ID of a result: its own, or that of the rule that it refers to.
fn id(result: &Value, rules: &Value) -> String {
    let own = result.get("ruleId").or_else(|| result.pointer("/rule/id"));
    let index = || {
        let index = result
            .get("ruleIndex")
            .or_else(|| result.pointer("/rule/index"));
        rules
            .get(usize::try_from(index?.as_u64()?).ok()?)?
            .get("id")
    };
    let id = own.or_else(index).and_then(Value::as_str);
    id.unwrap_or_default().to_owned()
}

/// False for a result that reports no problem.
fn is_problem(result: &Value) -> bool {
    let kind = result.get("kind").and_then(Value::as_str).unwrap_or("fail");
    let level = result.get("level").and_then(Value::as_str);
    !matches!(kind, "pass" | "notApplicable" | "informational") && level != Some("none")
}

/// The reason why a result does not count: an exception, or a suppression that the tool has accepted.
fn excepted(result: &Value) -> Option<String> {
    let suppressions = result.get("suppressions")?.as_array()?;
    let is_accepted = |one: &Value| {
        one.get("status")
            .and_then(Value::as_str)
            .unwrap_or("accepted")
            == "accepted"
    };
    let accepted = !suppressions.is_empty() && suppressions.iter().all(is_accepted);
    accepted.then(|| text(result, JUSTIFICATION))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_applies_until_its_day() {
        let log = json!({ "runs": [{
            "tool": { "driver": { "rules": [{ "id": "CVE-1" }, { "id": "CVE-2" }] } },
            "results": [
                { "ruleId": "CVE-1", "message": { "text": "one" } },
                { "ruleIndex": 1, "message": { "text": "two" } },
                { "rule": { "id": "CVE-3" }, "suppressions": [{ "kind": "inSource" }] },
                { "ruleId": "CVE-4", "kind": "pass" },
                { "ruleId": "CVE-5", "suppressions": [] },
            ],
        }]});
        let exception = |id: &str| GateException {
            id: id.to_owned(),
            reason: "not used".to_owned(),
            until: "2027-01-31".parse().unwrap(),
        };
        let exceptions = [exception("CVE-2"), exception("CVE-5")];
        let on = |day: &str| {
            let day: crate::config_files::values::Day = day.parse().unwrap();
            let log = with_exceptions(log.clone(), &exceptions, day.0);
            let results = results(&log).into_iter();
            let counting = results.filter(|one| one.excepted.is_none());
            counting.map(|one| one.id).collect::<Vec<_>>()
        };
        assert_eq!(on("2027-01-31"), ["CVE-1"]);
        assert_eq!(on("2027-02-01"), ["CVE-1", "CVE-2", "CVE-5"]);
    }
}
