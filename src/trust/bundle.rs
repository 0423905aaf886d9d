//! The Sigstore bundle v0.3: an envelope with the hint of its key, stored as a referrer.

use serde::Deserialize;
use serde_json::{Value, json};

use super::envelope::{Envelope, signed_text};
use super::refusal::MOST_SIGNATURE_BYTES;
use super::{PublicKey, Refusal, envelope, statement};
use crate::reference::Digest;

/// The media type of a bundle, and the artifact type of its manifest.
pub const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// The media types of all bundles begin with this.
pub const BUNDLES: &str = "application/vnd.dev.sigstore.bundle";
/// The annotation with the predicate type of a bundle.
pub const PREDICATE_TYPE: &str = "dev.sigstore.bundle.predicateType";
/// The annotation with the hint of the key, so that golden recognises its signatures in a list.
pub const KEY_HINT: &str = "dev.golden.signing.key";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    verification_material: Value,
    #[serde(default)]
    dsse_envelope: Option<Envelope>,
}

impl Bundle {
    fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let bundle: Self =
            serde_json::from_slice(bytes).map_err(|error| Refusal::of_json(&error))?;
        if bundle.media_type.starts_with(BUNDLES) {
            Ok(bundle)
        } else {
            Err(Refusal::Malformed("it is not a Sigstore bundle"))
        }
    }
}

/// The text to sign for a statement.
#[must_use]
pub fn text_of(statement: &[u8]) -> Vec<u8> {
    signed_text(envelope::IN_TOTO, statement)
}

/// The bundle of a payload that `key` signed.
#[must_use]
pub fn bundle(payload: &[u8], signature: &[u8], key: &PublicKey) -> Vec<u8> {
    json!({
        "mediaType": BUNDLE,
        "verificationMaterial": { "publicKey": { "hint": key.hint() } },
        "dsseEnvelope": Envelope::new(payload, signature),
    })
    .to_string()
    .into_bytes()
}

/// Verifies that a bundle is a signature of `subject` by one of `keys`. Returns the position of the
/// key.
pub fn verify(bytes: &[u8], subject: &Digest, keys: &[PublicKey]) -> Result<usize, Refusal> {
    if bytes.len() as u64 > MOST_SIGNATURE_BYTES {
        return Err(Refusal::TooLarge(bytes.len() as u64));
    }
    let (payload, signer) = signed_statement(bytes, keys)?;
    statement::check(&payload, subject, statement::SIGNATURE)?;
    Ok(signer)
}

/// The statement that a bundle encloses, and the position of the key that signed it. Fails if none of
/// `keys` did.
pub fn signed_statement(bytes: &[u8], keys: &[PublicKey]) -> Result<(Vec<u8>, usize), Refusal> {
    let bundle = Bundle::parse(bytes)?;
    let envelope = bundle.dsse_envelope.ok_or(Refusal::NoEnvelope)?;
    let is_keyless = bundle.verification_material["publicKey"].is_null();
    match envelope.verify(keys) {
        Err(Refusal::OtherKey) if is_keyless => Err(Refusal::Certificate),
        verified => verified,
    }
}

/// The statement that a bundle encloses: its predicate type, and its text, without regard to the
/// signatures. Fails if the bundle is not about `subject`.
pub fn enclosed(bytes: &[u8], subject: &Digest) -> Result<(String, Vec<u8>), Refusal> {
    let bundle = Bundle::parse(bytes)?;
    let payload = bundle.dsse_envelope.ok_or(Refusal::NoEnvelope)?.payload()?;
    let predicate_type = statement::predicate_type(&payload)?;
    statement::check(&payload, subject, &predicate_type)?;
    Ok((predicate_type, payload))
}

/// The statement that a bundle encloses, if `key` signed it.
#[must_use]
pub fn signed_by(bytes: &[u8], key: &PublicKey) -> Option<Vec<u8>> {
    let (payload, _) = signed_statement(bytes, std::slice::from_ref(key)).ok()?;
    Some(payload)
}
