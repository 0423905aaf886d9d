//! The protocol of sigstore's key plugins: a program receives the version of the protocol and the
//! call as JSON in its arguments, the message on stdin, and answers with JSON on stdout.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::key::{KeyError, PublicKey};

/// The version of the protocol: the first argument.
pub const VERSION: &str = "1";
/// The number of SHA-256 in the protocol: the value of `crypto.SHA256` in Go.
const SHA256: u32 = 5;
/// The longest text of a plugin that a message contains, in characters.
const MOST_TEXT: usize = 300;

/// A call of a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PluginCall {
    /// Return the public key.
    PublicKey,
    /// Sign the message on stdin.
    Sign,
}

/// The reason why the answer of a plugin cannot be used. The message continues a sentence that
/// names the plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PluginError {
    /// The plugin reports an error.
    #[error("failed: {0}")]
    Failed(String),
    /// The output is not JSON.
    #[error("did not answer with JSON")]
    NotJson,
    /// The answer lacks its result.
    #[error("did not return {0}")]
    Missing(&'static str),
    /// The public key cannot be used.
    #[error("returned a public key that cannot be used: {0}")]
    Key(KeyError),
    /// The signature is not by the key of the plugin.
    #[error("returned a signature that its public key does not verify")]
    WrongSignature,
}

impl PluginCall {
    /// The call as the second argument of the program.
    #[must_use]
    pub fn argument(self, key: &str) -> String {
        let mut call = json!({
            "initOptions": { "protocolVersion": VERSION, "keyResourceID": key, "hashFunc": SHA256 },
        });
        match self {
            Self::PublicKey => {
                call["methodName"] = "publicKey".into();
                call["publicKey"] = json!({ "publicKeyOptions": { "rpcOptions": {} } });
            }
            Self::Sign => {
                call["methodName"] = "signMessage".into();
                call["signMessage"] =
                    json!({ "signOptions": { "rpcOptions": {}, "messageOptions": {} } });
            }
        }
        call.to_string()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct PluginAnswer {
    error_message: String,
    public_key: Value,
    sign_message: Value,
}

fn answer(stdout: &[u8]) -> Result<PluginAnswer, PluginError> {
    let answer: PluginAnswer = serde_json::from_slice(stdout).map_err(|_| PluginError::NotJson)?;
    if answer.error_message.is_empty() {
        Ok(answer)
    } else {
        Err(PluginError::Failed(shown(&answer.error_message)))
    }
}

/// A text of a plugin in one line, without control characters.
fn shown(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars()
        .filter(|c| !c.is_control())
        .take(MOST_TEXT)
        .collect()
}

fn bytes(value: &Value, what: &'static str) -> Result<Vec<u8>, PluginError> {
    let text = value.as_str().ok_or(PluginError::Missing(what))?;
    let bytes = STANDARD.decode(text).ok();
    bytes
        .filter(|bytes| !bytes.is_empty())
        .ok_or(PluginError::Missing(what))
}

/// Reads the answer to [`PluginCall::PublicKey`].
pub fn public_key(stdout: &[u8]) -> Result<PublicKey, PluginError> {
    let pem = bytes(&answer(stdout)?.public_key["publicKeyPEM"], "a public key")?;
    PublicKey::parse(&pem).map_err(PluginError::Key)
}

/// Reads the answer to [`PluginCall::Sign`], and verifies the signature.
pub fn signature(stdout: &[u8], key: &PublicKey, message: &[u8]) -> Result<Vec<u8>, PluginError> {
    let signature = bytes(&answer(stdout)?.sign_message["signature"], "a signature")?;
    if key.verifies(message, &signature) {
        Ok(signature)
    } else {
        Err(PluginError::WrongSignature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::key::tests::key;

    #[test]
    fn an_answer_that_cannot_be_used_is_refused_with_its_reason() {
        let signer = key();
        let public = signer.public().unwrap();
        let sign = |message: &[u8]| STANDARD.encode(signer.sign(message).unwrap());
        let good = json!({ "signMessage": { "signature": sign(b"m") } }).to_string();
        assert!(signature(good.as_bytes(), &public, b"m").is_ok());
        for (text, expected) in [
            ("", "did not answer with JSON".to_owned()),
            ("ready", "did not answer with JSON".to_owned()),
            ("{}", "did not return a signature".to_owned()),
            (
                r#"{"errorMessage":"no such\n key \u001b[31m"}"#,
                "failed: no such key [31m".to_owned(),
            ),
            (
                r#"{"signMessage":{"signature":"%%"}}"#,
                "did not return a signature".to_owned(),
            ),
            (
                &json!({ "signMessage": { "signature": sign(b"other") } }).to_string(),
                "returned a signature that its public key does not verify".to_owned(),
            ),
        ] {
            let error = signature(text.as_bytes(), &public, b"m").unwrap_err();
            assert_eq!(error.to_string(), expected, "{text}");
        }
        let pem = STANDARD.encode(public.to_pem());
        let answer = json!({ "publicKey": { "publicKeyPEM": pem } }).to_string();
        assert_eq!(public_key(answer.as_bytes()).unwrap(), public);
        let answer = json!({ "publicKey": { "publicKeyPEM": STANDARD.encode("x") } }).to_string();
        assert_eq!(
            public_key(answer.as_bytes()).unwrap_err(),
            PluginError::Key(KeyError::NotPem)
        );
    }
}
