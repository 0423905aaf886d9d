//! Attaches signed verification summaries to the images that comply with the policy: `audit --attest`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};

use super::error::Error;
use super::published::Requirements;
use super::scan::ScannedImage;
use super::signatures::public_key;
use crate::config_files::policy::{Policy, RequiredArtifact};
use crate::config_files::workspace::TrustTable;
use crate::policy::{audited, is_excepted};
use crate::reference::{Digest, Reference};
use crate::registry::{Registries, Repo};
use crate::signing::{Claim, Signer};
use crate::trust::summary::{self, BuildLevel};
use crate::trust::{provenance, statement};
use crate::workspace::Workspace;
use crate::{publish, signing};

/// A verification summary of an image that complies with the policy.
#[derive(Debug, Serialize)]
pub struct AttestedSummary {
    /// The reference of the image.
    pub reference: Reference,
    /// The digest that the summary is about.
    pub digest: Digest,
    /// The digest of the policy.
    pub policy: Digest,
    /// The digest of the manifest that was added; absent if the summary was attached before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub added: Option<Digest>,
}

/// The globs over repositories and the hints of the keys that are trusted for them.
type TrustedSet = BTreeSet<(BTreeSet<String>, BTreeSet<String>)>;

/// Attaches summaries about a policy.
pub(super) struct SummaryWriter<'a> {
    signer: &'a Signer,
    rules: Policy,
    policy: Digest,
    /// True if an image without provenance does not comply.
    requires_provenance: bool,
    registries: &'a Registries,
    now: i64,
}

impl<'a> SummaryWriter<'a> {
    /// A writer for the policy of a workspace. Fails if the policy has no rule that an audit evaluates,
    /// because each image would comply with it, or if a trusted key cannot be read.
    pub(super) fn of(
        workspace: &Workspace,
        requirements: Option<&Requirements>,
        signer: &'a Signer,
        registries: &'a Registries,
        now: i64,
    ) -> Result<Self, Error> {
        let policy = &workspace.spec.policy;
        let Some(rules) = audited(policy, now) else {
            return Err(nothing_to_attest(policy));
        };
        let required = &policy.published.require;
        let requires_provenance = required.contains(&RequiredArtifact::Provenance)
            && requirements.is_some_and(|all| !all.only_warns);
        Ok(Self {
            signer,
            policy: digest_of(&rules, &trust_of(workspace)?)?,
            rules,
            requires_provenance,
            registries,
            now,
        })
    }

    /// Attaches the summary of one image, which exceptions know by the names `known_as`. Does nothing
    /// if the same summary is attached.
    pub(super) async fn attest(
        &self,
        reference: &Reference,
        image: &ScannedImage,
        known_as: &[String],
    ) -> Result<AttestedSummary, Error> {
        let repo = self.registries.repo(&image.repository);
        let level = self.level(&repo, image, known_as).await?;
        let predicate = summary::predicate(&image.repository, &self.policy, level);
        let claim = Claim {
            predicate_type: summary::PREDICATE,
            predicate: &predicate,
        };
        let subject = image.described.raw.descriptor();
        let added = publish::attest(&repo, &subject, self.signer, claim, self.now).await?;
        Ok(AttestedSummary {
            reference: reference.clone(),
            digest: subject.digest,
            policy: self.policy.clone(),
            added,
        })
    }

    /// The level of one image, by the statements that are attached to it. The rule itself only needs
    /// an artifact that is annotated as a statement.
    async fn level(
        &self,
        repo: &Repo,
        image: &ScannedImage,
        known_as: &[String],
    ) -> Result<BuildLevel, Error> {
        let is_required = self.requires_provenance
            && !is_excepted(&self.rules, "published.require", known_as, self.now);
        if !is_required {
            return Ok(BuildLevel::Unevaluated);
        }
        let top = &image.described.raw.digest;
        if has_provenance(repo, top).await? {
            return Ok(BuildLevel::One);
        }
        let images = image.described.images.iter().map(|image| &image.digest);
        for digest in images {
            if digest == top || !has_provenance(repo, digest).await? {
                return Ok(BuildLevel::Unevaluated);
            }
        }
        Ok(BuildLevel::One)
    }
}

/// True if a provenance statement about a digest is attached to it, by any signer or by none.
async fn has_provenance(repo: &Repo, digest: &Digest) -> Result<bool, Error> {
    let found = signing::statements(repo, digest, statement::PROVENANCE, &[]).await?;
    Ok(found.iter().any(|found| {
        let predicate = statement::predicate(&found.text, digest);
        predicate.is_ok_and(|(_, predicate)| provenance::describes_a_build(&predicate))
    }))
}

fn nothing_to_attest(policy: &Policy) -> Error {
    if *policy == Policy::default() {
        let message = "golden.toml has no [policy], so there is nothing to attest";
        return Error::invalid(message).hint("add the rules that images must comply with");
    }
    let message = "[policy] in golden.toml has no rule that an audit of published images checks as an \
                   error, so there is nothing to attest";
    Error::invalid(message)
        .hint("add a rule such as `required_labels`, `[policy.config]` or `[policy.published]`")
}

/// The trusted keys, which decide about signatures and revocations: the globs and keys of each
/// `[[trust]]` table. Fails if a key cannot be read.
fn trust_of(workspace: &Workspace) -> Result<TrustedSet, Error> {
    let tables = workspace.spec.trust.iter();
    let read = |table: &TrustTable| {
        let keys = table.keys.iter();
        let keys = keys.map(|path| Ok(public_key(&workspace.root.join(path))?.hint()));
        let keys = keys.collect::<Result<BTreeSet<String>, Error>>()?;
        Ok((table.images.iter().cloned().collect(), keys))
    };
    tables
        .filter(|table| !table.keys.is_empty())
        .map(read)
        .collect()
}

/// The digest of everything that decides: the rules, and the trusted keys. Keys with their default
/// value do not count, so that a later version of golden with more rules has the same digest.
fn digest_of(rules: &Policy, trust: &TrustedSet) -> Result<Digest, Error> {
    let json = |policy: &Policy| serde_json::to_value(policy).map_err(Error::failed);
    let mut decides = canonical(&json(rules)?, Some(&json(&Policy::default())?));
    if !trust.is_empty() {
        let tables = trust.iter();
        let tables = tables.map(|(images, keys)| json!({ "images": images, "keys": keys }));
        decides["trust"] = tables.collect();
        decides = canonical(&decides, None);
    }
    Ok(Digest::of(decides.to_string().as_bytes()))
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
            json!(kept)
        }
        Value::Array(items) => items.iter().map(|item| canonical(item, None)).collect(),
        plain => plain.clone(),
    }
}

#[cfg(test)]
mod tests {
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
        let digest = |label| digest_of(&policy(label), &BTreeSet::new()).unwrap();
        assert_eq!(digest("owner"), digest("owner"));
        assert_ne!(digest("owner"), digest("team"));
        let text = r#"{"required_labels":["owner"]}"#;
        assert_eq!(digest("owner"), Digest::of(text.as_bytes()));
        let set = |text: &str| BTreeSet::from([text.to_owned()]);
        let trust = BTreeSet::from([(set("a/**"), set("key"))]);
        let text = r#"{"required_labels":["owner"],"trust":[{"images":["a/**"],"keys":["key"]}]}"#;
        let found = digest_of(&policy("owner"), &trust).unwrap();
        assert_eq!(found, Digest::of(text.as_bytes()));
    }
}
