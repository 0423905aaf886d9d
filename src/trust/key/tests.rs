use super::*;

/// A key in SEC 1, as OpenSSL writes it with the parameters of the curve.
const SEC1_KEY: &str = "-----BEGIN EC PARAMETERS-----
BggqhkjOPQMBBw==
-----END EC PARAMETERS-----
-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIDPLZvGPcCgA88MQW+jA5gGcCRYvHfWaR3Rr8G34FRk4oAoGCCqGSM49
AwEHoUQDQgAEHHXvl1XlCTJPIpVbx6F8VKF83H2b3G4PRG2Xt605ue23tUoDexe7
WTkrVpPTAaQ6e3eTm+SXMlO0Oq3g8Hz14Q==
-----END EC PRIVATE KEY-----
";

/// The same key in PKCS 8.
const PKCS8_KEY: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgM8tm8Y9wKADzwxBb
6MDmAZwJFi8d9ZpHdGvwbfgVGTihRANCAAQcde+XVeUJMk8ilVvHoXxUoXzcfZvc
bg9EbZe3rTm57be1SgN7F7tZOStWk9MBpDp7d5Ob5JcyU7Q6reDwfPXh
-----END PRIVATE KEY-----
";

/// The same key without its public key.
const NO_PUBLIC: &str = "-----BEGIN EC PRIVATE KEY-----
MDECAQEEIDPLZvGPcCgA88MQW+jA5gGcCRYvHfWaR3Rr8G34FRk4oAoGCCqGSM49
AwEH
-----END EC PRIVATE KEY-----
";

const PUBLIC_KEY: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEHHXvl1XlCTJPIpVbx6F8VKF83H2b
3G4PRG2Xt605ue23tUoDexe7WTkrVpPTAaQ6e3eTm+SXMlO0Oq3g8Hz14Q==
-----END PUBLIC KEY-----
";

/// A key of cosign 3.1 with the password `test`.
const COSIGN_KEY: &str = "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----
eyJrZGYiOnsibmFtZSI6InNjcnlwdCIsInBhcmFtcyI6eyJOIjo2NTUzNiwiciI6
OCwicCI6MX0sInNhbHQiOiJhUWxySzhRUUI2aGNRdmpDS2VxbUJhbzhSR2h5VXFl
NHNWMVdMcjhTNVBrPSJ9LCJjaXBoZXIiOnsibmFtZSI6Im5hY2wvc2VjcmV0Ym94
Iiwibm9uY2UiOiJOT0hKQkcveEh6M0RLQVQvYjA5cmUrcUtzQmovemlBOCJ9LCJj
aXBoZXJ0ZXh0IjoiU2pFb21QWnZvWkx5Z0dWK21YZUxOb3JPSkp6RmNsZ2dXbU9n
VzhQbk4wbDZnczh4YWJXUjJycHhoQXFKNlF5Y2dBWi9RR2VwMkhiU29Nd3BPZlJO
QnJNTTBHMEozRzZkUHM1b3RMVkNOSGJZT2orb0NLQ1dJNW54Szk2WTNQWFdZTkU1
YVBuaEc0ckxxL29YSFdNNkpJdjhpVnlxbTNtTDAydCs4RjNkNU9ja2R5M1EvZUJZ
UnJUbDh5N083eGlyU3Y5LzhveUFubWhFUWc9PSJ9
-----END ENCRYPTED SIGSTORE PRIVATE KEY-----
";

const COSIGN_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEZ2PYp8NR2uR298s8msnp6Lhh9HBR
aSKqaYZubyhEVcHf2kal8SfSnezh/EKBVkOgcrHXykq6luYiYqUj13Wwew==
-----END PUBLIC KEY-----
";

const RSA_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC84Nt+n0gUNjVh1Onme4Ok9E9D
tepDAPqn9zSUoN68SX/FTxyOMPEkK58lttc6uog7cPtZNAf72T0codt++nlaat0R
ckpI6Qmmj3tWH2zz/A6UdQWwa5+iX6x4Oo6Ng4I2kPa0c/3zVP7LUezV71/Lihdc
hkBJ5pB8hqueoEmWMwIDAQAB
-----END PUBLIC KEY-----
";

const K256: &str = "-----BEGIN EC PRIVATE KEY-----
MHQCAQEEICCdRFTsJyPvBmttGKHgvD7ljPq4IYrswiUApa/E/uVZoAcGBSuBBAAK
oUQDQgAEJSNlc5SrWE/00J9zCwrqPPr352QQueOhLmK5bpQM2Jw0r4wzAAS6CF4t
PGMkgdR3hRDRcZndeB4KcXecxXkjLA==
-----END EC PRIVATE KEY-----
";

/// A key for other tests.
pub(in crate::trust) fn key() -> PrivateKey {
    plain(PKCS8_KEY)
}

fn plain(text: &str) -> PrivateKey {
    match StoredKey::parse(text.as_bytes()).unwrap() {
        StoredKey::Plain(key) => key,
        StoredKey::Encrypted(_) => panic!("the key is encrypted"),
    }
}

fn decrypted(text: &str, password: &str) -> Result<PrivateKey, KeyError> {
    match StoredKey::parse(text.as_bytes()).unwrap() {
        StoredKey::Plain(_) => panic!("the key is not encrypted"),
        StoredKey::Encrypted(key) => key.decrypt(&Secret::new(password.to_owned())),
    }
}

fn refused(text: &str) -> String {
    StoredKey::parse(text.as_bytes()).unwrap_err().to_string()
}

fn generated(algorithm: &'static rcgen::SignatureAlgorithm) -> String {
    rcgen::KeyPair::generate_for(algorithm)
        .unwrap()
        .serialize_pem()
}

#[test]
fn a_signature_of_each_form_of_a_key_is_verified_with_its_public_key() {
    let public = PublicKey::parse(PUBLIC_KEY.as_bytes()).unwrap();
    assert_eq!(public.to_pem(), PUBLIC_KEY);
    let crlf = PKCS8_KEY.replace('\n', "\r\n");
    for text in [SEC1_KEY, PKCS8_KEY, &crlf] {
        let key = plain(text);
        assert_eq!(key.public().unwrap(), public);
        let signature = key.sign(b"message").unwrap();
        assert!(public.verifies(b"message", &signature));
        assert!(!public.verifies(b"another message", &signature));
    }
}

#[test]
fn a_key_of_cosign_is_decrypted_with_its_password() {
    let public = decrypted(COSIGN_KEY, "test").unwrap().public().unwrap();
    assert_eq!(public.to_pem(), COSIGN_PUBLIC);
    let old = COSIGN_KEY.replace("SIGSTORE", "COSIGN");
    assert!(decrypted(&old, "test").is_ok());
    for password in ["", "Test", "test "] {
        assert_eq!(
            decrypted(COSIGN_KEY, password).unwrap_err(),
            KeyError::WrongPassword
        );
    }
}

#[test]
fn a_new_key_pair_is_encrypted_with_the_password() {
    let password = Secret::new("pässword".to_owned());
    let pair = NewKeyPair::create(&password).unwrap();
    let key = decrypted(&pair.private, "pässword").unwrap();
    assert_eq!(key.public().unwrap().to_pem(), pair.public);
    assert!(decrypted(&pair.private, "password").is_err());
}

#[test]
fn a_key_that_cannot_sign_is_refused_with_its_kind() {
    let only = "only ECDSA keys on the curve P-256 are accepted";
    for (text, why) in [
        (generated(&rcgen::PKCS_ED25519), format!("it is an Ed25519 key; {only}")),
        (
            generated(&rcgen::PKCS_ECDSA_P384_SHA384),
            format!("it is an ECDSA P-384 key; {only}"),
        ),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----".to_owned(),
            format!("it is an RSA key; {only}"),
        ),
        (K256.to_owned(), format!("it is an ECDSA (other curve) key; {only}")),
        (
            PUBLIC_KEY.to_owned(),
            "it is a public key; signing needs the private key".to_owned(),
        ),
        (NO_PUBLIC.to_owned(), "it does not contain its public key".to_owned()),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----".to_owned(),
            "it is a `CERTIFICATE`, not a key".to_owned(),
        ),
        (
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----"
                .to_owned(),
            "it is encrypted in a format other than cosign's".to_owned(),
        ),
        (
            "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END EC PRIVATE KEY-----"
                .to_owned(),
            "it is encrypted in a format other than cosign's".to_owned(),
        ),
        (
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----".to_owned(),
            "it is malformed".to_owned(),
        ),
        (PKCS8_KEY.repeat(2), "it has several keys; exactly one is accepted".to_owned()),
        ("hunter2".to_owned(), "it is not a key in PEM format".to_owned()),
        (String::new(), "it is not a key in PEM format".to_owned()),
        (" ".repeat(70_000) + PKCS8_KEY, "it is not a key in PEM format".to_owned()),
    ] {
        assert_eq!(refused(&text), why);
    }
    for (text, why) in [
        (RSA_PUBLIC, format!("it is an RSA key; {only}")),
        (
            PKCS8_KEY,
            "it is a private key; a public key is required".to_owned(),
        ),
        (
            COSIGN_KEY,
            "it is a private key; a public key is required".to_owned(),
        ),
    ] {
        assert_eq!(
            PublicKey::parse(text.as_bytes()).unwrap_err().to_string(),
            why
        );
    }
}

#[test]
fn every_truncation_of_a_key_is_an_error() {
    let block = crate::pem::blocks(PKCS8_KEY.as_bytes()).unwrap().remove(0);
    for length in 0..block.bytes.len() {
        let text = crate::pem::encode(PKCS8, &block.bytes[..length]);
        assert!(StoredKey::parse(text.as_bytes()).is_err(), "{length}");
    }
}

#[test]
fn an_encrypted_key_with_an_excessive_cost_is_refused() {
    let file = |cost: &str| {
        let json = format!(
            r#"{{"kdf":{{"name":"scrypt","params":{cost},"salt":""}},"cipher":{{"name":"nacl/secretbox","nonce":"{}"}},"ciphertext":""}}"#,
            STANDARD.encode([0; 24])
        );
        crate::pem::encode(ENCRYPTED[0], json.as_bytes())
    };
    for cost in [
        r#"{"N":1073741824,"r":8,"p":1}"#,
        r#"{"N":65536,"r":4294967295,"p":1}"#,
        r#"{"N":65536,"r":8,"p":1000000}"#,
        r#"{"N":65535,"r":8,"p":1}"#,
        r#"{"N":0,"r":8,"p":1}"#,
        r#"{"N":65536,"r":0,"p":1}"#,
        r#"{"N":18446744073709551615,"r":8,"p":1}"#,
    ] {
        let error = decrypted(&file(cost), "").unwrap_err();
        assert!(matches!(error, KeyError::Cost(_)), "{cost}: {error}");
    }
}

#[test]
fn no_message_shows_a_private_key() {
    let key = plain(PKCS8_KEY);
    assert_eq!(format!("{key:?}"), "PrivateKey(***)");
    let stored = StoredKey::parse(COSIGN_KEY.as_bytes()).unwrap();
    assert_eq!(format!("{stored:?}"), "Encrypted(EncryptedKey(***))");
}
