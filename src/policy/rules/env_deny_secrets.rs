//! The rule `env.deny_secrets`.

use std::sync::LazyLock;

use regex::RegexSet;

use super::Rule;
use crate::diagnostic::Severity;
use crate::policy::compiled::CompiledPolicy;
use crate::policy::finding::Finding;
use crate::policy::subject::PolicySubject;

pub(super) static RULE: Rule = Rule {
    id: "env.deny_secrets",
    severity: Severity::Error,
    fixed: false,
    summary: "no environment variable looks like a credential",
    docs: "\
`[policy.env] deny_secrets = true` rejects variables with the name of a credential (DB_PASSWORD, API_TOKEN,
AWS_SECRET_ACCESS_KEY, …) and values with the form of a credential (keys of cloud providers, tokens of
GitHub, GitLab and others, private keys, JSON web tokens, URLs with a password). Everyone who can pull the
image can read its environment. Empty values and values such as `true` or `no` are accepted. golden never
prints the value.

Pass secrets to containers at run time, and to build steps with [[run]] secrets = […].
",
    check: Some(check),
};

/// Name endings of credentials, in lower case and without separators.
const NAMES: [&str; 20] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "secrets",
    "token",
    "apikey",
    "accesskey",
    "secretkey",
    "privatekey",
    "signingkey",
    "encryptionkey",
    "authkey",
    "sharedkey",
    "credential",
    "credentials",
    "clientsecret",
    "dbpass",
    "bearer",
    "accountkey",
];

/// Words that mean a credential only as a separate last word: `DB_PWD`, but not `PWD`.
const WORDS: [&str; 3] = ["pwd", "pass", "pw"];

/// Patterns of well-known credentials.
#[expect(
    clippy::unwrap_used,
    reason = "the patterns are constants, and a test compiles them"
)]
static VALUES: LazyLock<RegexSet> = LazyLock::new(|| {
    RegexSet::new([
        r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----",
        r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
        r"\bgh[pousr]_[A-Za-z0-9]{36,}",
        r"\bgithub_pat_[A-Za-z0-9_]{22,}",
        r"\bgl(?:pat|ptt|dt|rt|cbt)-[A-Za-z0-9_-]{20,}",
        r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
        r"\bnpm_[A-Za-z0-9]{36}",
        r"\bpypi-[A-Za-z0-9_-]{50,}",
        r"\bdckr_pat_[A-Za-z0-9_-]{20,}",
        r"\b(?:sk|rk)_live_[A-Za-z0-9]{16,}",
        r"\bsk-[A-Za-z0-9_-]{32,}",
        r"\bAIza[A-Za-z0-9_-]{35}",
        r"\bhv[sb]\.[A-Za-z0-9_-]{24,}",
        r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
        r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+",
        r"(?i)\b(?:bearer|basic) [a-z0-9._~+/-]{16,}=*",
        r"[A-Za-z][A-Za-z0-9+.-]*://[^/\s:@]*:[^/\s@]+@",
        r"(?i)\b(?:password|pwd|accountkey|sharedaccesskey)=[^;\s]+",
    ])
    .unwrap()
});

fn check(compiled: &CompiledPolicy<'_>, subject: &PolicySubject<'_>, found: &mut Vec<Finding>) {
    if !compiled.policy.env.deny_secrets {
        return;
    }
    for (name, values) in &subject.env {
        let reason = if values.iter().any(|value| VALUES.is_match(value)) {
            "its value has the form of a credential"
        } else if names_a_credential(name) && values.iter().any(|value| !is_trivial(value)) {
            "it has the name of a credential"
        } else {
            continue;
        };
        found.push(
            Finding::new(format!("the variable `{name}` looks like a secret: {reason}"))
                .key(&["env", name], "the value is not shown")
                .hiding_value()
                .required_by(&["env", "deny_secrets"])
                .help(
                    "pass secrets to containers at run time, and to build steps with [[run]] secrets = […]",
                )
                .foreign_help(
                    "its publisher must remove it and replace the secret; pass secrets to containers at run time",
                ),
        );
    }
}

/// True if a variable looks like a secret, by its name or by its value.
pub(in crate::policy) fn looks_like_a_secret(name: &str, value: &str) -> bool {
    VALUES.is_match(value) || (names_a_credential(name) && !is_trivial(value))
}

/// True if a name is typical for a credential.
fn names_a_credential(name: &str) -> bool {
    let name = name
        .trim_end_matches(|c: char| c.is_ascii_digit() || c == '_')
        .to_ascii_lowercase();
    let joined: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let mut words = name.rsplit(['_', '-', '.']);
    let last = words.next().unwrap_or_default();
    NAMES.iter().any(|end| joined.ends_with(end))
        || (words.next().is_some() && WORDS.contains(&last))
}

/// True if a value is too simple to be a credential.
fn is_trivial(value: &str) -> bool {
    const PLAIN: [&str; 8] = ["", "0", "1", "true", "false", "yes", "no", "none"];
    PLAIN.contains(&value.trim().to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_credentials_are_recognised() {
        for name in [
            "DB_PASSWORD",
            "PGPASSWORD",
            "API_TOKEN",
            "AWS_SECRET_ACCESS_KEY",
            "dbPassword",
            "GITHUB_TOKEN",
            "TOKEN",
            "MY_API_KEY",
            "APIKEY",
            "DB_PWD",
            "SSH_PRIVATE_KEY",
            "CLIENT_SECRET",
            "client-secret",
            "TOKEN_2",
            "SMTP_PASS",
        ] {
            assert!(names_a_credential(name), "{name}");
        }
        for name in [
            "PATH",
            "PWD",
            "OLDPWD",
            "TOKEN_URL",
            "PASSWORD_FILE",
            "SSH_AUTH_SOCK",
            "GPG_KEY",
            "SECRET_NAME",
            "COMPASS",
            "JAVA_HOME",
            "DOTNET_CLI_TELEMETRY_OPTOUT",
            "KEYMAP",
            "BYPASS",
            "TOKENIZER",
        ] {
            assert!(!names_a_credential(name), "{name}");
        }
    }

    #[test]
    fn values_of_credentials_are_recognised() {
        let token = format!("ghp_{}", "a1B2".repeat(9));
        for value in [
            token.as_str(),
            "AKIAIOSFODNN7EXAMPLE",
            "-----BEGIN RSA PRIVATE KEY-----\nx",
            "postgres://user:hunter2@db/app",
            "Server=db;Password=hunter2;",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc",
        ] {
            assert!(VALUES.is_match(value), "{value}");
        }
        for value in [
            "https://example.com:8080/a@b",
            "1.2.3",
            "/usr/bin:/bin",
            "user@host",
            "http://host/x:y@z",
            "",
        ] {
            assert!(!VALUES.is_match(value), "{value}");
        }
        assert!(is_trivial("Yes") && is_trivial("") && !is_trivial("hunter2"));
    }
}
