//! Access control: the users of an htpasswd file with bcrypt hashes (`htpasswd -B`), with HTTP
//! Basic authentication (RFC 7617).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use hyper::header::{AUTHORIZATION, HeaderMap};

use super::Error;
use crate::reference::Digest;
use crate::workspace::fs;

/// The users and their password hashes.
#[derive(Debug)]
pub struct Users {
    hashes: BTreeMap<String, String>,
    /// Digests of verified logins: bcrypt is slow by design, and a push sends its login many times.
    verified: Mutex<BTreeSet<Digest>>,
}

impl Users {
    /// Reads an htpasswd file. Fails if it lists no user or has a line without a bcrypt hash.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = fs::read(path).map_err(|error| Error::File {
            action: "read",
            path: path.to_owned(),
            source: error.source,
        })?;
        Self::parse(&String::from_utf8_lossy(&bytes)).map_err(|(line, what)| Error::Users {
            path: path.to_owned(),
            line,
            what,
        })
    }

    fn parse(text: &str) -> Result<Self, (usize, &'static str)> {
        let mut hashes = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (user, hash) = line
                .split_once(':')
                .ok_or((index + 1, "expected USER:HASH"))?;
            if !["$2y$", "$2b$", "$2a$"]
                .iter()
                .any(|prefix| hash.starts_with(prefix))
            {
                return Err((index + 1, "only bcrypt hashes are supported"));
            }
            hashes.insert(user.to_owned(), hash.to_owned());
        }
        if hashes.is_empty() {
            return Err((1, "the file lists no user"));
        }
        Ok(Self {
            hashes,
            verified: Mutex::default(),
        })
    }

    /// True if a request has the login of a user. It blocks for a while, so it must not run on a
    /// thread that serves other requests.
    pub(super) fn authenticate(&self, headers: &HeaderMap) -> bool {
        let Some(login) = login(headers) else {
            return false;
        };
        let digest = Digest::of(login.as_bytes());
        if self
            .verified
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&digest)
        {
            return true;
        }
        let Some((user, password)) = login.split_once(':') else {
            return false;
        };
        let Some(hash) = self.hashes.get(user) else {
            return false;
        };
        let admitted = bcrypt::verify(password, hash).unwrap_or(false);
        if admitted {
            self.verified
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(digest);
        }
        admitted
    }
}

/// `USER:PASSWORD` from the Authorization header.
fn login(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(encoded.trim())
        .ok()?;
    scheme
        .eq_ignore_ascii_case("basic")
        .then(|| String::from_utf8(bytes).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_users_with_bcrypt_hashes_are_accepted() {
        for (text, error) in [
            ("ann", (1, "expected USER:HASH")),
            (
                "# users\nann:$apr1$abc",
                (2, "only bcrypt hashes are supported"),
            ),
            ("\n", (1, "the file lists no user")),
        ] {
            assert_eq!(Users::parse(text).map(|_| ()), Err(error), "{text}");
        }
    }

    #[test]
    fn a_password_is_compared_with_its_hash() {
        let hash = bcrypt::hash("p@ss:word", 4).unwrap();
        let users = Users::parse(&format!("ann:{hash}\n")).unwrap();
        for (login, admitted) in [
            ("ann:p@ss:word", true),
            ("ann:p@ss:word", true),
            ("ann:other", false),
            ("bob:p@ss:word", false),
            ("ann", false),
        ] {
            let mut headers = HeaderMap::new();
            let encoded = base64::engine::general_purpose::STANDARD.encode(login);
            headers.insert(AUTHORIZATION, format!("Basic {encoded}").parse().unwrap());
            assert_eq!(users.authenticate(&headers), admitted, "{login}");
        }
        assert!(!users.authenticate(&HeaderMap::new()));
    }
}
