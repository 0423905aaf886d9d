//! The in-toto statement v1 (github.com/in-toto/attestation): a claim about a digest.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Refusal;
use crate::reference::Digest;

/// The type of the statement.
const TYPE: &str = "https://in-toto.io/Statement/v1";

/// The predicate type of a signature of cosign. A statement with another predicate type does not
/// sign the image.
pub const SIGNATURE: &str = "https://sigstore.dev/cosign/sign/v1";
/// The predicate type of a bill of materials in CycloneDX.
pub const CYCLONEDX: &str = "https://cyclonedx.org/bom";
/// The predicate type of a bill of materials in SPDX.
pub const SPDX: &str = "https://spdx.dev/Document";
/// The predicate type of a provenance statement.
pub const PROVENANCE: &str = "https://slsa.dev/provenance/v1";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    #[serde(default)]
    subject: Vec<Subject>,
    #[serde(default)]
    predicate_type: String,
}

#[derive(Deserialize)]
struct Subject {
    #[serde(default)]
    digest: BTreeMap<String, String>,
}

/// The statement of a predicate about `subject`.
#[must_use]
pub fn statement(subject: &Digest, predicate_type: &str, predicate: &Value) -> Vec<u8> {
    json!({
        "_type": TYPE,
        "subject": [{ "digest": { subject.algorithm(): subject.hex() } }],
        "predicateType": predicate_type,
        "predicate": predicate,
    })
    .to_string()
    .into_bytes()
}

/// The statement that signs `subject`.
#[must_use]
pub fn signature(subject: &Digest) -> Vec<u8> {
    statement(subject, SIGNATURE, &json!({}))
}

/// The predicate type of a statement.
pub fn predicate_type(payload: &[u8]) -> Result<String, Refusal> {
    let statement: Statement =
        serde_json::from_slice(payload).map_err(|error| Refusal::of_json(&error))?;
    Ok(statement.predicate_type)
}

/// The predicate of a statement about `subject`, with its type. Fails if the statement is not about
/// `subject`.
pub fn predicate(payload: &[u8], subject: &Digest) -> Result<(String, Value), Refusal> {
    let kind = predicate_type(payload)?;
    check(payload, subject, &kind)?;
    let mut value: Value =
        serde_json::from_slice(payload).map_err(|error| Refusal::of_json(&error))?;
    Ok((kind, value["predicate"].take()))
}

/// Fails unless the statement has the predicate type `predicate_type` and is about `subject`.
pub fn check(payload: &[u8], subject: &Digest, predicate_type: &str) -> Result<(), Refusal> {
    let statement: Statement =
        serde_json::from_slice(payload).map_err(|error| Refusal::of_json(&error))?;
    if !statement.kind.starts_with("https://in-toto.io/Statement/") {
        return Err(Refusal::OtherPayload(statement.kind));
    }
    if statement.predicate_type != predicate_type {
        return Err(Refusal::OtherPredicate(statement.predicate_type));
    }
    let is_subject = |one: &Subject| {
        one.digest.get(subject.algorithm()).map(String::as_str) == Some(subject.hex())
    };
    if statement.subject.iter().any(is_subject) {
        return Ok(());
    }
    let named = statement.subject.first().and_then(|one| {
        let (algorithm, hex) = one.digest.iter().next()?;
        Some(format!("{algorithm}:{hex}"))
    });
    Err(named.map_or(
        Refusal::Malformed("its statement has no subject"),
        Refusal::OtherDigest,
    ))
}
