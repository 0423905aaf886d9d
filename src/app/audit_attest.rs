//! Attaches signed verification summaries to the images that comply with the policy: `audit --attest`.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::error::Error;
use super::published::Requirements;
use super::scan::ScannedImage;
use crate::config_files::policy::{Policy, RequiredArtifact};
use crate::publish;
use crate::reference::{Digest, Reference};
use crate::registry::Registries;
use crate::signing::{Claim, Signer};
use crate::trust::summary::{self, BuildLevel};
use crate::workspace::Workspace;

/// A verification summary of an image that complies with the policy.
#[derive(Debug, Serialize)]
pub struct AttestedSummary {
    /// The reference.
    pub reference: Reference,
    /// The digest that the summary is about.
    pub digest: Digest,
    /// The digest of the policy.
    pub policy: Digest,
    /// The digest of the manifest that was added; absent if the summary was attached before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub added: Option<Digest>,
}

/// Attaches summaries about a policy.
pub(super) struct SummaryWriter<'a> {
    signer: &'a Signer,
    policy: Digest,
    level: BuildLevel,
    registries: &'a Registries,
    now: i64,
}

impl<'a> SummaryWriter<'a> {
    /// A writer for the policy of a workspace. Fails if the policy has no rule, because each image
    /// would comply with it.
    pub(super) fn of(
        workspace: &Workspace,
        requirements: Option<&Requirements>,
        signer: &'a Signer,
        registries: &'a Registries,
        now: i64,
    ) -> Result<Self, Error> {
        let policy = &workspace.spec.policy;
        if *policy == Policy::default() {
            let message = "golden.toml has no [policy], so there is nothing to attest";
            return Err(Error::invalid(message).hint("add the rules that images must comply with"));
        }
        let required = &policy.published.require;
        let has_provenance = required.contains(&RequiredArtifact::Provenance)
            && requirements.is_some_and(|all| !all.only_warns);
        Ok(Self {
            signer,
            policy: digest_of(policy)?,
            level: if has_provenance {
                BuildLevel::One
            } else {
                BuildLevel::Unevaluated
            },
            registries,
            now,
        })
    }

    /// Attaches the summary of one image. Does nothing if the same summary is attached.
    pub(super) async fn attest(
        &self,
        reference: &Reference,
        image: &ScannedImage,
    ) -> Result<AttestedSummary, Error> {
        let predicate = summary::predicate(&image.repository, &self.policy, self.level);
        let claim = Claim {
            predicate_type: summary::PREDICATE,
            predicate: &predicate,
        };
        let repo = self.registries.repo(&image.repository);
        let subject = image.described.raw.descriptor();
        let added = publish::attest(&repo, &subject, self.signer, claim, self.now).await?;
        Ok(AttestedSummary {
            reference: reference.clone(),
            digest: subject.digest,
            policy: self.policy.clone(),
            added,
        })
    }
}

/// The digest of the rules of a policy. Keys with their default value do not count, so that a later
/// version of golden with more rules has the same digest.
fn digest_of(policy: &Policy) -> Result<Digest, Error> {
    let json = |policy: &Policy| serde_json::to_value(policy).map_err(Error::failed);
    let rules = canonical(&json(policy)?, Some(&json(&Policy::default())?));
    Ok(Digest::of(rules.to_string().as_bytes()))
}

/// A value without the keys that have their default value, and with its keys sorted.
fn canonical(value: &Value, default: Option<&Value>) -> Value {
    match value {
        Value::Object(fields) => {
            let default_of = |key: &String| default.and_then(|default| default.get(key));
            let kept = fields
                .iter()
                .filter(|(key, value)| default_of(key) != Some(value));
            let kept: BTreeMap<&String, Value> = kept
                .map(|(key, value)| (key, canonical(value, default_of(key))))
                .collect();
            serde_json::json!(kept)
        }
        Value::Array(items) => items.iter().map(|item| canonical(item, None)).collect(),
        plain => plain.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_rules_that_are_set_count() {
        let default = json!({ "a": { "x": 1, "y": [] }, "b": false, "new": null });
        let value = json!({ "b": true, "a": { "y": [{ "d": 1, "c": 2 }], "x": 1 }, "new": null });
        let text = canonical(&value, Some(&default)).to_string();
        assert_eq!(text, r#"{"a":{"y":[{"c":2,"d":1}]},"b":true}"#);
        let policy = |label: &str| Policy {
            required_labels: vec![label.to_owned()],
            ..Policy::default()
        };
        let digest = |label| digest_of(&policy(label)).unwrap();
        assert_eq!(digest("owner"), digest("owner"));
        assert_ne!(digest("owner"), digest("team"));
        let text = r#"{"required_labels":["owner"]}"#;
        assert_eq!(digest("owner"), Digest::of(text.as_bytes()));
    }
}
