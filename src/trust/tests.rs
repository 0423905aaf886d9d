//! Signatures in both formats: each reason for a refusal.

use serde_json::{Value, json};

use super::envelope::{Envelope, signed_text};
use super::key::tests::key;
use super::{PublicKey, Refusal, bundle, simple, statement};
use crate::reference::{Digest, Repository};

const OTHER_KEY: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEZ2PYp8NR2uR298s8msnp6Lhh9HBR
aSKqaYZubyhEVcHf2kal8SfSnezh/EKBVkOgcrHXykq6luYiYqUj13Wwew==
-----END PUBLIC KEY-----
";

fn other() -> PublicKey {
    PublicKey::parse(OTHER_KEY.as_bytes()).unwrap()
}

fn own() -> PublicKey {
    key().public().unwrap()
}

fn digest() -> Digest {
    Digest::of(b"image")
}

/// A bundle with this payload.
fn bundle_of(kind: &str, payload: &[u8]) -> Vec<u8> {
    let signature = key().sign(&signed_text(kind, payload)).unwrap();
    let mut envelope = json!(Envelope::new(payload, &signature));
    envelope["payloadType"] = kind.into();
    let mut made: Value =
        serde_json::from_slice(&bundle::bundle(payload, &signature, &own())).unwrap();
    made["dsseEnvelope"] = envelope;
    made.to_string().into_bytes()
}

fn signed(payload: &[u8]) -> Vec<u8> {
    bundle_of("application/vnd.in-toto+json", payload)
}

#[test]
fn a_bundle_is_a_signature_only_of_its_digest_by_a_trusted_key() {
    let good = signed(&statement::signature(&digest()));
    assert_eq!(bundle::verify(&good, &digest(), &[own()]), Ok(0));
    assert_eq!(bundle::verify(&good, &digest(), &[other(), own()]), Ok(1));
    let text = String::from_utf8(good.clone()).unwrap();
    let elsewhere = Digest::of(b"another image");
    let sbom = statement::statement(&digest(), "https://cyclonedx.org/bom", &json!({}));
    let no_subject = br#"{"_type":"https://in-toto.io/Statement/v1","predicateType":"https://sigstore.dev/cosign/sign/v1"}"#;
    let large = [good.as_slice(), &vec![b' '; 2 << 20]].concat();
    for (what, bytes, keys, expected) in [
        ("no key", good.clone(), vec![], Refusal::OtherKey),
        ("another key", good.clone(), vec![other()], Refusal::OtherKey),
        (
            "another digest",
            signed(&statement::signature(&elsewhere)),
            vec![own()],
            Refusal::OtherDigest(elsewhere.to_string()),
        ),
        (
            "an SBOM",
            signed(&sbom),
            vec![own()],
            Refusal::OtherPredicate("https://cyclonedx.org/bom".to_owned()),
        ),
        (
            "no subject",
            signed(no_subject),
            vec![own()],
            Refusal::Malformed("its statement has no subject"),
        ),
        (
            "another payload type",
            bundle_of("text/plain", &statement::signature(&digest())),
            vec![own()],
            Refusal::OtherPayload("text/plain".to_owned()),
        ),
        (
            "truncated",
            good[..good.len() / 2].to_vec(),
            vec![own()],
            Refusal::Truncated,
        ),
        ("empty", Vec::new(), vec![own()], Refusal::Truncated),
        (
            "HTML",
            b"<html>".to_vec(),
            vec![own()],
            Refusal::Malformed("it is not the expected JSON"),
        ),
        (
            "no bundle",
            b"{}".to_vec(),
            vec![own()],
            Refusal::Malformed("it is not a Sigstore bundle"),
        ),
        (
            "no envelope",
            json!({ "mediaType": bundle::BUNDLE }).to_string().into_bytes(),
            vec![own()],
            Refusal::NoEnvelope,
        ),
        (
            "a certificate",
            text.replace(r#""publicKey""#, r#""certificate""#).into_bytes(),
            vec![other()],
            Refusal::Certificate,
        ),
        (
            "no signature",
            json!({ "mediaType": bundle::BUNDLE, "dsseEnvelope": { "payload": "", "payloadType": "x", "signatures": [] } })
                .to_string()
                .into_bytes(),
            vec![own()],
            Refusal::Malformed("its envelope has no signature"),
        ),
        (
            "too large",
            large.clone(),
            vec![own()],
            Refusal::TooLarge(large.len() as u64),
        ),
    ] {
        assert_eq!(bundle::verify(&bytes, &digest(), &keys), Err(expected), "{what}");
    }
}

#[test]
fn every_truncation_of_a_bundle_is_refused() {
    let good = signed(&statement::signature(&digest()));
    for length in 0..good.len() {
        assert!(
            bundle::verify(&good[..length], &digest(), &[own()]).is_err(),
            "{length}"
        );
    }
}

#[test]
fn a_simple_signature_counts_only_for_its_digest_and_repository() {
    let here: Repository = "registry.example.com/team/app".parse().unwrap();
    let sign = |payload: &[u8]| key().sign(payload).unwrap();
    let verify = |payload: &[u8], keys: &[PublicKey]| {
        simple::verify(payload, &sign(payload), &here, &digest(), keys)
    };
    let good = simple::payload(&here, &digest());
    assert_eq!(
        String::from_utf8(good.clone()).unwrap(),
        format!(
            r#"{{"critical":{{"identity":{{"docker-reference":"registry.example.com/team/app"}},"image":{{"docker-manifest-digest":"{}"}},"type":"cosign container image signature"}},"optional":null}}"#,
            digest()
        )
    );
    assert_eq!(verify(&good, &[other(), own()]), Ok(1));
    // skopeo names a tag.
    let tagged = String::from_utf8(good.clone())
        .unwrap()
        .replace("/app\"", "/app:1.2.3\"");
    assert_eq!(verify(tagged.as_bytes(), &[own()]), Ok(0));
    assert_eq!(verify(&good, &[other()]), Err(Refusal::OtherKey));
    assert_eq!(
        simple::verify(&good, b"", &here, &digest(), &[own()]),
        Err(Refusal::OtherKey)
    );
    let elsewhere: Repository = "registry.example.com/stage/app".parse().unwrap();
    assert_eq!(
        verify(&simple::payload(&elsewhere, &digest()), &[own()]),
        Err(Refusal::OtherRepository(elsewhere.to_string()))
    );
    let another = Digest::of(b"another image");
    assert_eq!(
        verify(&simple::payload(&here, &another), &[own()]),
        Err(Refusal::OtherDigest(another.to_string()))
    );
    assert_eq!(verify(&good[..40], &[own()]), Err(Refusal::Truncated));
    assert_eq!(
        verify(b"[]", &[own()]),
        Err(Refusal::Malformed("it is not the expected JSON"))
    );
}
