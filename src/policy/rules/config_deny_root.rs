//! `config.deny_root`.

use super::Rule;
use crate::diagnostic::Severity;
use crate::policy::compile::CompiledPolicy;
use crate::policy::finding::Finding;
use crate::policy::subject::PolicySubject;

pub(super) static RULE: Rule = Rule {
    id: "config.deny_root",
    severity: Severity::Error,
    fixed: false,
    summary: "the image does not run as root",
    docs: "\
`[policy.config] deny_root = true` requires that the image's effective user is not root: neither `root` nor 0, not
empty, which means root, and no name to which the image's /etc/passwd gives the number 0. A spec that sets no user has the base's, which is known once the image is built; it is
judged then, before anything is pushed.

Set `user` in [config], best as numbers: user = \"10001:10001\".
",
    check: Some(check),
};

fn check(compiled: &CompiledPolicy<'_>, subject: &PolicySubject<'_>, found: &mut Vec<Finding>) {
    let Some(user) = subject
        .user
        .as_deref()
        .filter(|_| compiled.policy.config.deny_root)
    else {
        return;
    };
    let message = if user.is_empty() {
        "the image runs as root, because no user is set".to_owned()
    } else if is_root(user) {
        format!("the image runs as root (user `{user}`)")
    } else if subject.user_id == Some(0) {
        format!("the image runs as root: its /etc/passwd gives the user `{user}` the number 0")
    } else {
        return;
    };
    found.push(
        Finding::new(message)
            .key(&["config", "user"], "this is root")
            .asked_by(&["config", "deny_root"])
            .help("set another user in [config], best as numbers: user = \"10001:10001\""),
    );
}

/// The name of a user whose number only the image's /etc/passwd tells; none for numbers and for root.
#[must_use]
pub fn named_user(user: &str) -> Option<&str> {
    let name = user.split(':').next().unwrap_or_default().trim();
    (!is_root(user) && name.parse::<i64>().is_err()).then_some(name)
}

/// Whether `USER[:GROUP]` is root. Engines read numbers with signs and leading zeros.
fn is_root(user: &str) -> bool {
    let name = user.split(':').next().unwrap_or_default().trim();
    name.is_empty() || name == "root" || name.parse::<i64>() == Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_in_all_its_forms() {
        for user in [
            "", "0", "root", "0:0", "root:app", "00", "+0", "0:1000", ":1000",
        ] {
            assert!(is_root(user), "{user:?}");
        }
        for (user, name) in [
            ("10001", None),
            ("10001:0", None),
            ("app", Some("app")),
            ("nonroot:nonroot", Some("nonroot")),
            ("rooty", Some("rooty")),
        ] {
            assert!(!is_root(user), "{user:?}");
            assert_eq!(named_user(user), name);
        }
        assert_eq!(named_user("root:app"), None);
    }
}
