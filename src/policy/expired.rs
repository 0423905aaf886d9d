//! Warns about exceptions from rules that end soon or have ended.

use std::path::Path;

use super::compiled::day_of;
use super::finding::WORKSPACE_FILE;
use crate::config_files::policy::{Policy, PolicyException};
use crate::diagnostic::{Diagnostic, Diagnostics, KeyFinder};

/// The number of days before the end of an exception from which it is reported.
const NOTICE: i64 = 14;

/// The exceptions that end within two weeks, or have ended. `now` is in seconds since 1970.
pub(super) fn expired(policy: &Policy, now: i64, places: &dyn KeyFinder) -> Diagnostics {
    let today = day_of(now);
    let mut found = Diagnostics::new();
    for (index, exception) in policy.except.iter().enumerate() {
        let left = (exception.until.0 - today).whole_days();
        if left > NOTICE {
            continue;
        }
        let (file, index) = (Path::new(WORKSPACE_FILE), index.to_string());
        let warning = warning(exception, left);
        let span = places.value(file, &["policy", "except", &index, "until"]);
        found.push(match span {
            Some(span) => warning.at(file, span, ""),
            None => warning,
        });
    }
    found
}

fn warning(exception: &PolicyException, left: i64) -> Diagnostic {
    let (rule, until) = (&exception.rule, exception.until);
    let (message, help) = match left {
        ..0 => (
            format!("the exception from `{rule}` ended on {until}, so the rule counts again"),
            "remove the exception",
        ),
        0 => (
            format!("the exception from `{rule}` ends today ({until})"),
            "change the images so that they follow the rule",
        ),
        1 => (
            format!("the exception from `{rule}` ends tomorrow ({until})"),
            "change the images so that they follow the rule",
        ),
        left => (
            format!("the exception from `{rule}` ends in {left} days ({until})"),
            "change the images so that they follow the rule",
        ),
    };
    Diagnostic::warning("policy.expired", message)
        .of_policy()
        .help(help)
}
