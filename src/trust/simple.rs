//! Simple signing: the older format of cosign, which containers/image (Podman, skopeo, CRI-O)
//! reads. Each signature is a layer of the manifest under the tag `sha256-….sig`.

use serde::Deserialize;
use serde_json::json;

use super::refusal::MOST_SIGNATURE_BYTES;
use super::{PublicKey, Refusal};
use crate::reference::{Digest, Reference, Repository};

/// The media type of the payload.
pub const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The annotation of a layer with the signature, in base64.
pub const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// The annotation of a layer with the certificate of a signature without a key.
pub const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";

#[derive(Deserialize)]
struct SimplePayload {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    identity: Identity,
    image: Image,
}

#[derive(Deserialize)]
struct Identity {
    #[serde(rename = "docker-reference", default)]
    reference: String,
}

#[derive(Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

/// The payload that signs `digest` in `repository`. The same input gives the same bytes.
#[must_use]
pub fn payload(repository: &Repository, digest: &Digest) -> Vec<u8> {
    json!({
        "critical": {
            "identity": { "docker-reference": repository.to_string() },
            "image": { "docker-manifest-digest": digest.as_str() },
            "type": "cosign container image signature",
        },
        "optional": null,
    })
    .to_string()
    .into_bytes()
}

/// Verifies that one of `keys` signed `digest` in `repository`. Returns the position of the key.
pub fn verify(
    payload: &[u8],
    signature: &[u8],
    repository: &Repository,
    digest: &Digest,
    keys: &[PublicKey],
) -> Result<usize, Refusal> {
    if payload.len() as u64 > MOST_SIGNATURE_BYTES {
        return Err(Refusal::TooLarge(payload.len() as u64));
    }
    let signer = keys.iter().position(|key| key.verifies(payload, signature));
    let signer = signer.ok_or(Refusal::OtherKey)?;
    let SimplePayload { critical } =
        serde_json::from_slice(payload).map_err(|error| Refusal::of_json(&error))?;
    if critical.image.digest != digest.as_str() {
        return Err(Refusal::OtherDigest(critical.image.digest));
    }
    let named = critical.identity.reference;
    let is_here = named
        .parse::<Reference>()
        .is_ok_and(|reference| reference.repository == *repository);
    if is_here {
        Ok(signer)
    } else {
        Err(Refusal::OtherRepository(named))
    }
}
