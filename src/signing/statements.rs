//! Reads the statements that are attached to an image.

use serde_json::Value;

use super::attest::MOST_BUNDLE_BYTES;
use super::check::MOST_SIGNATURES;
use crate::oci::{Bytes, Descriptor, RawManifest};
use crate::reference::Digest;
use crate::registry::referrers::subject_of;
use crate::registry::{Error, Repo};
use crate::trust::artifact::IN_TOTO_TYPE;
use crate::trust::{PublicKey, Refusal, bundle, envelope, statement};

/// A statement in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundStatement {
    /// The digest of its manifest.
    pub digest: Digest,
    /// The statement in JSON.
    pub text: Vec<u8>,
    /// The position of the key that signed it, or the reason why no signature counts; `None` if it has
    /// no signature.
    pub verdict: Option<Result<usize, Refusal>>,
}

/// The statements about `subject` with a predicate type, and the verdicts about their signatures.
/// Content that is not such a statement is skipped. Fails if the registry fails.
pub async fn statements(
    repo: &Repo,
    subject: &Digest,
    predicate_type: &str,
    keys: &[PublicKey],
) -> Result<Vec<FoundStatement>, Error> {
    let mut found = Vec::new();
    for referrer in repo.referrers(subject).await?.iter().take(MOST_SIGNATURES) {
        let Some(raw) = repo.manifest(&referrer.descriptor.digest).await? else {
            continue;
        };
        let Some(blob) = blob_of(&raw, subject, predicate_type) else {
            continue;
        };
        let bytes: Bytes = match repo.blob(&blob, MOST_BUNDLE_BYTES).await {
            Ok(bytes) => bytes,
            Err(error) if error.is_about_content() || error.says_unknown() => continue,
            Err(error) => return Err(error),
        };
        let (text, verdict) = if blob.media_type == envelope::IN_TOTO {
            (Ok(bytes.to_vec()), None)
        } else {
            let signer = bundle::signed_statement(&bytes, keys).map(|(_, signer)| signer);
            let text = bundle::enclosed(&bytes, subject).map(|(_, text)| text);
            (text, Some(signer))
        };
        if let Ok(text) = text
            && statement::check(&text, subject, predicate_type).is_ok()
        {
            found.push(FoundStatement {
                digest: raw.digest,
                text,
                verdict,
            });
        }
    }
    Ok(found)
}

/// The blob with a statement about `subject`, unless the manifest declares another predicate type.
fn blob_of(raw: &RawManifest, subject: &Digest, predicate_type: &str) -> Option<Descriptor> {
    let value: Value = serde_json::from_slice(&raw.bytes).ok()?;
    let mut declared = [bundle::PREDICATE_TYPE, IN_TOTO_TYPE].into_iter();
    let declared = declared.find_map(|key| value["annotations"][key].as_str());
    if subject_of(raw).as_ref() != Some(subject)
        || declared.is_some_and(|kind| kind != predicate_type)
    {
        return None;
    }
    let layers = value["layers"].as_array()?.iter();
    layers
        .filter_map(|layer| serde_json::from_value::<Descriptor>(layer.clone()).ok())
        .filter(|layer| layer.size <= MOST_BUNDLE_BYTES)
        .find(|layer| {
            layer.media_type.starts_with(bundle::BUNDLES) || layer.media_type == envelope::IN_TOTO
        })
}
