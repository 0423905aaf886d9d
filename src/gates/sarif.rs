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
        let read: &Value = run;
        let ids: Vec<String> = entries(read, "results")
            .map(|result| id(result, read).to_owned())
            .collect();
        let results = run.get_mut("results").and_then(Value::as_array_mut);
        for (result, id) in results.into_iter().flatten().zip(ids) {
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
    for run in entries(log, "runs") {
        let problems = entries(run, "results").filter(|one| is_problem(one));
        found.extend(problems.map(|result| GateResult {
            id: id(result, run).to_owned(),
            message: text(result, "/message/text"),
            excepted: excepted(result),
        }));
    }
    found
}

/// False if the log says that the execution of a tool failed, so that results may be missing.
pub(super) fn is_complete(log: &Value) -> bool {
    let invocations = entries(log, "runs").flat_map(|run| entries(run, "invocations"));
    let mut successes = invocations.map(|invocation| invocation.get("executionSuccessful"));
    successes.all(|success| success != Some(&Value::Bool(false)))
}

/// The entries of a list; none if it does not exist.
fn entries<'v>(value: &'v Value, key: &'static str) -> impl Iterator<Item = &'v Value> {
    let list = value.get(key).and_then(Value::as_array);
    list.into_iter().flatten()
}

fn text(value: &Value, pointer: &str) -> String {
    let text = value.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

/// The rule ID of a result: its own, or that of the driver's rule that it refers to.
fn id<'v>(result: &'v Value, run: &'v Value) -> &'v str {
    let own = result.get("ruleId").or_else(|| result.pointer("/rule/id"));
    let of_driver = || {
        // The index of a rule of a tool component refers to the rules of an extension.
        if result.pointer("/rule/toolComponent").is_some() {
            return None;
        }
        let index = result
            .get("ruleIndex")
            .or_else(|| result.pointer("/rule/index"));
        let rules = run.pointer("/tool/driver/rules")?;
        rules
            .get(usize::try_from(index?.as_u64()?).ok()?)?
            .get("id")
    };
    let id = own.or_else(of_driver).and_then(Value::as_str);
    id.unwrap_or_default()
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

    #[test]
    fn the_id_is_that_of_the_rule_that_the_result_refers_to() {
        let run = json!({ "tool": {
            "driver": { "rules": [{ "id": "D-0" }, { "id": "D-1" }] },
            "extensions": [{ "rules": [{ "id": "E-0" }, { "id": "E-1" }] }],
        }});
        for (result, expected) in [
            (json!({ "ruleId": "own", "ruleIndex": 1 }), "own"),
            (json!({ "rule": { "id": "own", "index": 1 } }), "own"),
            (json!({ "ruleIndex": 1 }), "D-1"),
            (json!({ "rule": { "index": 0 } }), "D-0"),
            (
                json!({ "rule": { "index": 1, "toolComponent": { "index": 0 } } }),
                "",
            ),
            (
                json!({ "ruleIndex": 1, "rule": { "toolComponent": { "name": "x" } } }),
                "",
            ),
            (
                json!({ "ruleId": "own", "rule": { "index": 1, "toolComponent": { "index": 0 } } }),
                "own",
            ),
            (json!({ "ruleIndex": 2 }), ""),
            (json!({ "ruleIndex": -1 }), ""),
            (json!({}), ""),
        ] {
            assert_eq!(id(&result, &run), expected, "{result}");
        }
    }
}
