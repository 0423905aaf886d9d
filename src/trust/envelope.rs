//! The envelope DSSE (github.com/secure-systems-lab/dsse): a payload with its type and signatures.

use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::{Deserialize, Serialize};

use super::{PublicKey, Refusal};

/// The payload type of in-toto statements.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// Base64 with or without padding, as writers of envelopes differ.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// An envelope, as in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    payload: String,
    payload_type: String,
    #[serde(default)]
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct EnvelopeSignature {
    sig: String,
}

/// The text to sign for a payload: the pre-authentication encoding of DSSE.
#[must_use]
pub fn signed_text(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!(
        "DSSEv1 {} {payload_type} {} ",
        payload_type.len(),
        payload.len()
    );
    [head.as_bytes(), payload].concat()
}

impl Envelope {
    /// The envelope of an in-toto statement and its signature.
    #[must_use]
    pub fn new(payload: &[u8], signature: &[u8]) -> Self {
        Self {
            payload: STANDARD.encode(payload),
            payload_type: IN_TOTO.to_owned(),
            signatures: vec![EnvelopeSignature {
                sig: STANDARD.encode(signature),
            }],
        }
    }

    /// The payload, without regard to the signatures.
    pub fn payload(&self) -> Result<Vec<u8>, Refusal> {
        let decoded = BASE64.decode(&self.payload);
        decoded.map_err(|_| Refusal::Malformed("its payload is not base64"))
    }

    /// Verifies that one of `keys` signed the envelope. Returns the payload and the position of the
    /// key.
    pub fn verify(&self, keys: &[PublicKey]) -> Result<(Vec<u8>, usize), Refusal> {
        let payload = self.payload()?;
        if self.signatures.is_empty() {
            return Err(Refusal::Malformed("its envelope has no signature"));
        }
        let text = signed_text(&self.payload_type, &payload);
        let signatures: Vec<Vec<u8>> = self
            .signatures
            .iter()
            .map(|signature| BASE64.decode(&signature.sig))
            .collect::<Result<_, _>>()
            .map_err(|_| Refusal::Malformed("its signature is not base64"))?;
        let is_by = |key: &PublicKey| signatures.iter().any(|one| key.verifies(&text, one));
        let signer = keys.iter().position(is_by).ok_or(Refusal::OtherKey)?;
        if self.payload_type == IN_TOTO {
            Ok((payload, signer))
        } else {
            Err(Refusal::OtherPayload(self.payload_type.clone()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signed_text_is_that_of_the_specification() {
        let text = signed_text("http://example.com/HelloWorld", b"hello world");
        assert_eq!(
            text,
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }
}
