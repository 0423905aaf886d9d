//! Property tests: no content of a credentials file causes a panic, and no error repeats a secret.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::Credential;
use super::file::{AuthFile, Found};
use crate::reference::{Host, RepositoryPath};
use crate::secret::Secret;

const SECRET: &str = "s3cret-of-the-robot";

/// Looks up an image in a file; returns the text of the error if the file is invalid.
fn find(text: &[u8]) -> Result<Found, String> {
    let host: Host = "registry.example.com:5000".parse().unwrap();
    let repository: RepositoryPath = "team/app".parse().unwrap();
    let file =
        AuthFile::parse("config.json", text).map_err(|error| format!("{error} {error:?}"))?;
    file.find(&host, Some(&repository))
        .map_err(|error| format!("{error} {error:?}"))
}

/// Any JSON value, with the secret in many places.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        Just(Value::from(SECRET)),
    ];
    let key = prop::sample::select(vec![
        "auths",
        "credHelpers",
        "credsStore",
        "auth",
        "username",
        "password",
        "identitytoken",
        "registry.example.com:5000",
        "https://registry.example.com:5000/v2/",
        "registry.example.com:5000/team",
        "",
        SECRET,
    ]);
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6).prop_map(|pairs| pairs
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}

proptest! {
    #[test]
    fn arbitrary_bytes_cause_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(find(&bytes));
    }

    #[test]
    fn an_error_contains_no_secret(value in value(), cut in any::<prop::sample::Index>()) {
        let text = value.to_string();
        for text in [text.as_bytes(), &text.as_bytes()[..cut.index(text.len() + 1)]] {
            if let Err(message) = find(text) {
                // The name of a registry is not secret, and errors contain it.
                let named = format!("`auth` of {SECRET}");
                prop_assert!(!message.replace(&named, "").contains(SECRET), "{}", message);
            }
        }
    }

    #[test]
    fn every_user_and_password_is_read_back(user in "[^:\0]{1,12}", password in "[^\0\r\n]{0,12}", padded in any::<bool>()) {
        use base64::Engine as _;
        use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
        let pair = format!("{user}:{password}");
        let auth = if padded { STANDARD.encode(&pair) } else { STANDARD_NO_PAD.encode(&pair) };
        let file = json!({ "auths": { "registry.example.com:5000": { "auth": auth } } });
        let expected = Credential::Password { user, password: Secret::new(password) };
        prop_assert_eq!(find(file.to_string().as_bytes()), Ok(Found::Credential(expected)));
    }
}
