//! Parses Docker's config.json and the auth.json of containers-auth.json(5), which has the same
//! format.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use super::Credential;
use crate::reference::{Host, RepositoryPath};
use crate::registry::error::Error;
use crate::secret::Secret;

/// Docker Hub's key: the URL of its first index, which no longer exists.
const HUB: &str = "https://index.docker.io/v1/";

/// A parsed credentials file.
pub(super) struct AuthFile {
    name: String,
    shape: Shape,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Shape {
    #[serde(deserialize_with = "or_null")]
    auths: BTreeMap<String, Option<AuthEntry>>,
    #[serde(deserialize_with = "or_null")]
    cred_helpers: BTreeMap<String, Option<String>>,
    #[serde(deserialize_with = "or_null")]
    creds_store: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AuthEntry {
    #[serde(deserialize_with = "or_null")]
    auth: String,
    #[serde(deserialize_with = "or_null")]
    username: String,
    #[serde(deserialize_with = "or_null")]
    password: String,
    #[serde(deserialize_with = "or_null")]
    identitytoken: String,
    #[serde(deserialize_with = "or_null")]
    registrytoken: String,
}

/// Go programs write `null` for an empty map.
fn or_null<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The entry that a file has for a host.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(super) enum Found {
    Credential(Credential),
    /// The helper program that has the login, and the server name to send to it.
    Helper {
        name: String,
        server: String,
    },
    /// An entry with a user and no password.
    NoPassword {
        key: String,
        user: String,
    },
    Nothing,
}

impl AuthFile {
    /// Parses a file. The file is secret, so an error gives the position and never quotes the text.
    pub(super) fn parse(name: &str, text: &[u8]) -> Result<Self, Error> {
        let text = if text.trim_ascii().is_empty() {
            b"{}"
        } else {
            text
        };
        let shape = serde_json::from_slice(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            Error::local(format!(
                "{name}:{line}:{column}: this credentials file cannot be parsed"
            ))
        })?;
        Ok(Self {
            name: name.to_owned(),
            shape,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Looks in credHelpers, then in auths, then in credsStore.
    pub(super) fn find(
        &self,
        host: &Host,
        repository: Option<&RepositoryPath>,
    ) -> Result<Found, Error> {
        let server = if host.is_hub() {
            HUB.to_owned()
        } else {
            host.to_string()
        };
        let helper = best(&self.shape.cred_helpers, host, None);
        if let Some((_, name)) = helper.filter(|(_, name)| !name.is_empty()) {
            return Ok(Found::Helper {
                name: name.clone(),
                server,
            });
        }
        let entry = best(&self.shape.auths, host, repository);
        if let Some((key, entry)) = entry
            && let Some(credential) = entry.credential(&self.name, key)?
        {
            return Ok(Found::Credential(credential));
        }
        match (self.shape.creds_store.as_str(), entry) {
            ("", Some((key, entry))) if !entry.username.is_empty() => Ok(Found::NoPassword {
                key: key.to_owned(),
                user: entry.username.clone(),
            }),
            ("", _) => Ok(Found::Nothing),
            (name, _) => Ok(Found::Helper {
                name: name.to_owned(),
                server,
            }),
        }
    }
}

/// The most specific entry for a host: the longest key that is the repository or a parent of it,
/// else the key of the host.
fn best<'m, V>(
    map: &'m BTreeMap<String, Option<V>>,
    host: &Host,
    repository: Option<&RepositoryPath>,
) -> Option<(&'m str, &'m V)> {
    let matching = map.iter().filter_map(|(key, value)| {
        let value = value.as_ref()?;
        let (name, path) = split_key(key);
        if name.parse::<Host>().ok()? != *host {
            return None;
        }
        let fits = path.is_empty()
            || repository.is_some_and(|repository| is_below(repository.as_str(), path));
        fits.then_some((path.len(), key.as_str(), value))
    });
    matching
        .max_by_key(|(length, ..)| *length)
        .map(|(_, key, value)| (key, value))
}

fn is_below(repository: &str, parent: &str) -> bool {
    repository
        .strip_prefix(parent)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Splits a key into host and path. The scheme and the API paths `v1` and `v2` are removed.
fn split_key(key: &str) -> (&str, &str) {
    let key = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key);
    let (host, path) = key.split_once('/').unwrap_or((key, ""));
    match path.trim_end_matches('/') {
        "v1" | "v2" => (host, ""),
        path => (host, path),
    }
}

impl AuthEntry {
    /// The login of this entry, if it has one. Docker writes an empty entry if a credential store
    /// has the login.
    fn credential(&self, file: &str, key: &str) -> Result<Option<Credential>, Error> {
        let non_empty = |text: &str| (!text.is_empty()).then(|| Secret::new(text.to_owned()));
        if let Some(token) = non_empty(&self.registrytoken) {
            return Ok(Some(Credential::RegistryToken(token)));
        }
        if let Some(token) = non_empty(&self.identitytoken) {
            return Ok(Some(Credential::IdentityToken(token)));
        }
        if !self.auth.is_empty() {
            let (user, password) = decode(&self.auth).ok_or_else(|| {
                Error::local(format!(
                    "{file}: `auth` of {key} is not the base64 of user:password"
                ))
            })?;
            return Ok(Some(Credential::Password {
                user,
                password: Secret::new(password),
            }));
        }
        let password = non_empty(&self.password).filter(|_| !self.username.is_empty());
        Ok(password.map(|password| Credential::Password {
            user: self.username.clone(),
            password,
        }))
    }
}

/// Decodes user and password. Base64 padding is optional, the password may contain colons, and
/// trailing NULs (added by old clients) and line breaks are removed.
fn decode(auth: &str) -> Option<(String, String)> {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let lenient = GeneralPurpose::new(&base64::alphabet::STANDARD, config);
    let text = String::from_utf8(lenient.decode(auth.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((
        user.to_owned(),
        password.trim_end_matches(['\0', '\r', '\n']).to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(json: &str, host: &str, repository: &str) -> Found {
        let file = AuthFile::parse("f", json.as_bytes()).unwrap();
        file.find(&host.parse().unwrap(), Some(&repository.parse().unwrap()))
            .unwrap()
    }

    fn login(user: &str, password: &str) -> Found {
        Found::Credential(Credential::Password {
            user: user.to_owned(),
            password: Secret::new(password.to_owned()),
        })
    }

    fn helper(name: &str, server: &str) -> Found {
        Found::Helper {
            name: name.to_owned(),
            server: server.to_owned(),
        }
    }

    #[test]
    fn logins_are_looked_up_like_docker_and_podman_do() {
        let hub = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"dTpwOnE="}}}"#;
        for (json, host, repository, expected) in [
            (hub, "docker.io", "library/a", login("u", "p:q")),
            (hub, "ghcr.io", "a", Found::Nothing),
            (
                r#"{"auths":{"h:5000":{"auth":"dTpw"}}}"#,
                "h:5000",
                "a",
                login("u", "p"),
            ),
            (
                r#"{"auths":{"h:5000":{"auth":"dTpw"}}}"#,
                "h",
                "a",
                Found::Nothing,
            ),
            (
                r#"{"auths":{"https://h/v2/":{"username":"u","password":"ü"}}}"#,
                "h",
                "a",
                login("u", "ü"),
            ),
            (
                r#"{"auths":{"h":{"auth":"dTpwOnE"}}}"#,
                "h",
                "a",
                login("u", "p:q"),
            ),
            (
                r#"{"auths":{"h":{}},"credsStore":"s"}"#,
                "h",
                "a",
                helper("s", "h"),
            ),
            (
                r#"{"auths":{},"credsStore":"s"}"#,
                "docker.io",
                "library/a",
                helper("s", HUB),
            ),
            (
                r#"{"auths":{"h":{"auth":"dTpw"}},"credHelpers":{"h":"x"}}"#,
                "h",
                "a",
                helper("x", "h"),
            ),
            (
                r#"{"auths":{"h":{"auth":"dTpw"},"h/team":{"auth":"dDpx"}}}"#,
                "h",
                "team/app",
                login("t", "q"),
            ),
            (
                r#"{"auths":{"h":{"auth":"dTpw"},"h/team":{"auth":"dDpx"}}}"#,
                "h",
                "teams/app",
                login("u", "p"),
            ),
            ("", "h", "a", Found::Nothing),
            (
                r#"{"auths":null,"credHelpers":null,"credsStore":null}"#,
                "h",
                "a",
                Found::Nothing,
            ),
            (
                r#"{"auths":null,"credsStore":"s"}"#,
                "h",
                "a",
                helper("s", "h"),
            ),
            (
                r#"{"auths":{"h":null,"x":{"auth":null,"username":null}},"credHelpers":{"h":null}}"#,
                "h",
                "a",
                Found::Nothing,
            ),
            (r#"{"auths":{"h":{}}}"#, "h", "a", Found::Nothing),
            (
                r#"{"auths":{"h":{"username":"u"}}}"#,
                "h",
                "a",
                Found::NoPassword {
                    key: "h".to_owned(),
                    user: "u".to_owned(),
                },
            ),
        ] {
            assert_eq!(
                find(json, host, repository),
                expected,
                "{json} {host} {repository}"
            );
        }
    }

    #[test]
    fn an_error_names_a_broken_file_and_does_not_quote_it() {
        let error = AuthFile::parse("/c.json", br#"{"auths":{"h":"s3cret"}}"#)
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains("/c.json:1:") && !error.contains("s3cret"),
            "{error}"
        );
        let file = AuthFile::parse("/c.json", br#"{"auths":{"h":{"auth":"s3cret"}}}"#).unwrap();
        let error = file
            .find(&"h".parse().unwrap(), None)
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains("/c.json") && !error.contains("s3cret"),
            "{error}"
        );
    }
}
