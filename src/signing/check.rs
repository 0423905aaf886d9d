//! Finds the signatures of a digest in a registry, and verifies them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::config_files::SignatureFormat;
use crate::oci::{Bytes, Descriptor, RawManifest};
use crate::reference::{Digest, Tag};
use crate::registry::referrers::{Referrer, subject_of, tag_for};
use crate::registry::{Error, FailureKind, Repo};
use crate::trust::refusal::MOST_SIGNATURE_BYTES;
use crate::trust::{PublicKey, Refusal, bundle, simple, statement};

/// The suffix of the tag with simple signatures.
pub(super) const SIMPLE_SUFFIX: &str = ".sig";
/// The maximum number of signatures of one digest that are read.
pub(super) const MOST_SIGNATURES: usize = 200;

/// A signature in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundSignature {
    /// The format of the signature.
    pub format: SignatureFormat,
    /// The digest of the bundle or of the signed payload.
    pub digest: Digest,
    /// The position of the key that made it, or the reason why it does not count.
    pub verdict: Result<usize, Refusal>,
}

/// Reads all signatures of `subject`, and verifies them with `keys`. Attestations and other
/// referrers are skipped. Fails if the registry fails.
pub async fn signatures(
    repo: &Repo,
    subject: &Digest,
    keys: &[PublicKey],
) -> Result<Vec<FoundSignature>, Error> {
    let referrers = repo.referrers(subject).await?;
    let mut found = bundles(repo, subject, &referrers, keys).await?;
    found.extend(simple_signatures(repo, subject, keys).await?);
    Ok(found)
}

/// Reads the bundles among the referrers of `subject`.
async fn bundles(
    repo: &Repo,
    subject: &Digest,
    referrers: &[Referrer],
    keys: &[PublicKey],
) -> Result<Vec<FoundSignature>, Error> {
    let mut found = Vec::new();
    // Lists may contain entries without the type of the artifact, so every manifest is read.
    for referrer in referrers.iter().take(MOST_SIGNATURES) {
        let digest = referrer.descriptor.digest.clone();
        let verdict = match repo.manifest(&digest).await? {
            None if may_be_bundle(referrer) => Err(Refusal::Missing),
            None => continue,
            Some(raw) => match bundle_of(&raw, subject, statement::SIGNATURE) {
                None => continue,
                Some(blob) => match read(repo, &blob).await? {
                    Ok(bytes) => bundle::verify(&bytes, subject, keys),
                    Err(refusal) => Err(refusal),
                },
            },
        };
        // A statement about something else, such as an SBOM, is not a signature at all.
        if matches!(&verdict, Err(Refusal::OtherPredicate(kind)) if kind != statement::SIGNATURE)
            && !names_signature(referrer)
        {
            continue;
        }
        found.push(FoundSignature {
            format: SignatureFormat::Bundle,
            digest,
            verdict,
        });
    }
    Ok(found)
}

fn may_be_bundle(referrer: &Referrer) -> bool {
    let kind = referrer.descriptor.artifact_type.as_deref();
    kind.is_some_and(|kind| kind.starts_with(bundle::BUNDLES)) && names_signature(referrer)
}

/// True if the list says that the referrer is a signature.
fn names_signature(referrer: &Referrer) -> bool {
    let kind = referrer.descriptor.annotations.get(bundle::PREDICATE_TYPE);
    kind.is_some_and(|kind| kind == statement::SIGNATURE)
}

/// The blobs of the bundles that refer to `subject` and do not declare a predicate type other than
/// `predicate_type`.
pub(super) async fn bundle_blobs(
    repo: &Repo,
    subject: &Digest,
    predicate_type: &str,
) -> Result<Vec<Descriptor>, Error> {
    let mut blobs = Vec::new();
    for referrer in repo.referrers(subject).await?.iter().take(MOST_SIGNATURES) {
        if let Some(raw) = repo.manifest(&referrer.descriptor.digest).await? {
            blobs.extend(bundle_of(&raw, subject, predicate_type));
        }
    }
    Ok(blobs)
}

/// The blob with the bundle, if a manifest is a bundle that refers to `subject` and does not declare
/// a predicate type other than `predicate_type`.
pub(super) fn bundle_of(
    raw: &RawManifest,
    subject: &Digest,
    predicate_type: &str,
) -> Option<Descriptor> {
    let value: Value = serde_json::from_slice(&raw.bytes).ok()?;
    let declared = value["annotations"][bundle::PREDICATE_TYPE].as_str();
    if subject_of(raw).as_ref() != Some(subject)
        || declared.is_some_and(|kind| kind != predicate_type)
    {
        return None;
    }
    let layers = value["layers"].as_array()?;
    layers
        .iter()
        .filter_map(|layer| serde_json::from_value::<Descriptor>(layer.clone()).ok())
        .find(|layer| layer.media_type.starts_with(bundle::BUNDLES))
}

/// Reads a blob of a signature. The outer error is a failure of the registry; the inner one is the
/// reason why the content does not count.
async fn read(repo: &Repo, blob: &Descriptor) -> Result<Result<Bytes, Refusal>, Error> {
    if blob.size > MOST_SIGNATURE_BYTES {
        return Ok(Err(Refusal::TooLarge(blob.size)));
    }
    match repo.blob(blob, MOST_SIGNATURE_BYTES).await {
        Ok(bytes) => Ok(Ok(bytes)),
        Err(error) if error.kind == FailureKind::Digest => Ok(Err(Refusal::Malformed(
            "its content does not have its digest",
        ))),
        Err(error) if error.is_about_content() || error.says_unknown() => Ok(Err(Refusal::Missing)),
        Err(error) => Err(error),
    }
}

/// Reads the signatures under the tag `sha256-….sig`.
async fn simple_signatures(
    repo: &Repo,
    subject: &Digest,
    keys: &[PublicKey],
) -> Result<Vec<FoundSignature>, Error> {
    let mut found = Vec::new();
    let Some(raw) = repo.manifest(&simple_tag(subject)?).await? else {
        return Ok(found);
    };
    for layer in layers(&raw).into_iter().take(MOST_SIGNATURES) {
        let verdict = verify_layer(repo, subject, keys, &layer).await?;
        found.push(FoundSignature {
            format: SignatureFormat::Simple,
            digest: layer.digest,
            verdict,
        });
    }
    Ok(found)
}

/// The layers with simple signatures.
fn layers(raw: &RawManifest) -> Vec<Descriptor> {
    let value: Value = serde_json::from_slice(&raw.bytes).unwrap_or_default();
    let layers = value["layers"].as_array().cloned().unwrap_or_default();
    layers
        .into_iter()
        .filter_map(|layer| serde_json::from_value::<Descriptor>(layer).ok())
        .filter(|layer| layer.media_type == simple::PAYLOAD)
        .collect()
}

async fn verify_layer(
    repo: &Repo,
    subject: &Digest,
    keys: &[PublicKey],
    layer: &Descriptor,
) -> Result<Result<usize, Refusal>, Error> {
    let Some(signature) = layer.annotations.get(simple::SIGNATURE) else {
        return Ok(Err(Refusal::Malformed("it has no signature annotation")));
    };
    let Ok(signature) = STANDARD.decode(signature) else {
        return Ok(Err(Refusal::Malformed("its signature is not base64")));
    };
    // The payload of a signature by golden is known, so it need not be read.
    let own = simple::payload(repo.name(), subject);
    let payload = if layer.digest.is_of(&own) {
        Ok(Bytes::from(own))
    } else {
        read(repo, layer).await?
    };
    let verdict = payload
        .and_then(|payload| simple::verify(&payload, &signature, repo.name(), subject, keys));
    Ok(match verdict {
        Err(Refusal::OtherKey) if layer.annotations.contains_key(simple::CERTIFICATE) => {
            Err(Refusal::Certificate)
        }
        verdict => verdict,
    })
}

/// The formats in which `subject`, with these referrers, has a signature by `key`, or by any key if
/// none is given. Reads less than [`signatures`]: the list of referrers shows which bundles golden
/// made.
pub(super) async fn present(
    repo: &Repo,
    subject: &Digest,
    referrers: &[Referrer],
    key: Option<&PublicKey>,
    wanted: &[SignatureFormat],
) -> Result<Vec<SignatureFormat>, Error> {
    let mut present = Vec::new();
    for format in wanted {
        let is_present = match format {
            SignatureFormat::Bundle => has_bundle(repo, subject, referrers, key).await?,
            SignatureFormat::Simple => {
                let found = simple_signatures(repo, subject, key.map_or(&[], std::slice::from_ref));
                counts(&found.await?, key)
            }
        };
        if is_present {
            present.push(*format);
        }
    }
    Ok(present)
}

/// True if a list shows a bundle that golden made with the key, or with any key if none is given.
pub(super) fn lists_bundle(referrers: &[Referrer], key: Option<&PublicKey>) -> bool {
    let hint = key.map(PublicKey::hint);
    referrers.iter().any(|entry| {
        let named = entry.descriptor.annotations.get(bundle::KEY_HINT);
        names_signature(entry) && hint.as_ref().is_none_or(|hint| named == Some(hint))
    })
}

async fn has_bundle(
    repo: &Repo,
    subject: &Digest,
    referrers: &[Referrer],
    key: Option<&PublicKey>,
) -> Result<bool, Error> {
    if lists_bundle(referrers, key) {
        return Ok(true);
    }
    let keys = key.map_or(&[][..], std::slice::from_ref);
    let found = bundles(repo, subject, referrers, keys).await?;
    Ok(counts(&found, key))
}

/// True if a signature is by the key. If no key is known, one by any key counts.
fn counts(found: &[FoundSignature], key: Option<&PublicKey>) -> bool {
    found.iter().any(|signature| match &signature.verdict {
        Ok(_) => true,
        Err(Refusal::OtherKey | Refusal::Certificate) => key.is_none(),
        Err(_) => false,
    })
}

/// The tag of the simple signatures of a digest.
pub fn simple_tag(subject: &Digest) -> Result<Tag, Error> {
    tag_for(subject, SIMPLE_SUFFIX)
}
