//! The SLSA verification summary (<https://slsa.dev/spec/v1.1/verification_summary>): the statement of a
//! verifier that an image complies with a policy.

use serde_json::{Value, json};

use crate::reference::{Digest, Repository};

/// The predicate type of a verification summary.
pub const PREDICATE: &str = "https://slsa.dev/verification_summary/v1";
/// The verifier in the summaries of golden.
const VERIFIER: &str = "https://golden.dev/audit/v1";
/// The policy in the summaries of golden. Its digest identifies the rules.
const POLICY: &str = "https://golden.dev/policy/v1";

/// The SLSA level that was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuildLevel {
    /// The index, or the image of each platform, has a provenance statement: Build L1.
    One,
    /// The policy does not require provenance of the image, or no statement describes its build.
    Unevaluated,
}

impl BuildLevel {
    const fn as_str(self) -> &'static str {
        match self {
            Self::One => "SLSA_BUILD_LEVEL_1",
            Self::Unevaluated => "SLSA_BUILD_LEVEL_UNEVALUATED",
        }
    }
}

/// The predicate for an image of `repository` that complies with a policy. It has no time, which is
/// optional since SLSA 1.1, so that a later audit with the same policy and result makes the same
/// statement.
#[must_use]
pub fn predicate(repository: &Repository, policy: &Digest, level: BuildLevel) -> Value {
    json!({
        "verifier": { "id": VERIFIER },
        "resourceUri": format!("oci://{repository}"),
        "policy": {
            "name": "golden.toml",
            "uri": POLICY,
            "digest": { policy.algorithm(): policy.hex() },
        },
        "verificationResult": "PASSED",
        "verifiedLevels": [level.as_str()],
        "slsaVersion": "1.1",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_names_the_repository_the_policy_and_the_level() {
        let repository: Repository = "registry.example.com/golden/app".parse().unwrap();
        let policy = Digest::of(b"policy");
        for (level, text) in [
            (BuildLevel::One, "SLSA_BUILD_LEVEL_1"),
            (BuildLevel::Unevaluated, "SLSA_BUILD_LEVEL_UNEVALUATED"),
        ] {
            let expected = json!({
                "verifier": { "id": "https://golden.dev/audit/v1" },
                "resourceUri": "oci://registry.example.com/golden/app",
                "policy": {
                    "name": "golden.toml",
                    "uri": "https://golden.dev/policy/v1",
                    "digest": { "sha256": policy.hex() },
                },
                "verificationResult": "PASSED",
                "verifiedLevels": [text],
                "slsaVersion": "1.1",
            });
            let found = predicate(&repository, &policy, level);
            assert_eq!(found, expected);
            // The fields that SLSA 1.1 requires.
            for required in [
                "/verifier/id",
                "/resourceUri",
                "/policy/uri",
                "/verificationResult",
                "/verifiedLevels/0",
            ] {
                let field = found.pointer(required).and_then(Value::as_str);
                assert!(field.is_some_and(|text| !text.is_empty()), "{required}");
            }
        }
    }
}
