//! The rule `config.deny_root`.

use super::Rule;
use crate::diagnostic::Severity;
use crate::policy::compiled::CompiledPolicy;
use crate::policy::finding::Finding;
use crate::policy::subject::PolicySubject;

pub(super) static RULE: Rule = Rule {
    id: "config.deny_root",
    severity: Severity::Error,
    fixed: false,
    summary: "the image does not run as root",
    docs: "\
`[policy.config] deny_root = true` requires that the effective user of the image is not root: not `root`,
not 0, not empty (which means root), and not a name with the number 0 in the image's /etc/passwd. A spec
without a user has the user of its base, which is known only after the build. golden then checks it after
the build, before it pushes anything.

Set `user` in [config], preferably as numbers: user = \"10001:10001\".
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
        format!("the image runs as root: in its /etc/passwd, the user `{user}` has the number 0")
    } else {
        return;
    };
    found.push(
        Finding::new(message)
            .key(&["config", "user"], "this is root")
            .required_by(&["config", "deny_root"])
            .help("set another user in [config], preferably as numbers: user = \"10001:10001\"")
            .foreign_help(
                "its publisher must set another user, such as with USER 10001:10001 in the Dockerfile",
            ),
    );
}

/// The name of a user whose number must be looked up in the image's /etc/passwd; `None` for numbers
/// and for root.
#[must_use]
pub fn named_user(user: &str) -> Option<&str> {
    let name = user.split(':').next().unwrap_or_default().trim();
    (!is_root(user) && name.parse::<i64>().is_err()).then_some(name)
}

/// True if `USER[:GROUP]` is root. Engines accept numbers with signs and leading zeros.
fn is_root(user: &str) -> bool {
    let name = user.split(':').next().unwrap_or_default().trim();
    name.is_empty() || name == "root" || name.parse::<i64>() == Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notation_of_root_is_recognised() {
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
