//! Values that must never be printed, and URLs of which only a part may be printed.

use std::fmt;

use url::Url;

/// A secret value. Its `Debug` output is `***` and it has no `Display`, so it cannot be logged by
/// accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The secret value itself. If a secret leaks, check the callers of this function.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Removes user information, query and fragment from a URL: tokens and signatures may be there.
#[must_use]
pub fn redact_url(url: &Url) -> String {
    let mut url = url.clone();
    // Both calls fail only for URLs that cannot have user information.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

/// Masks user information before an `@`, as in `user:password@host`. An `@` before a digest is left
/// unchanged.
#[must_use]
pub fn redact_userinfo(text: &str) -> String {
    let (scheme, rest) = text
        .split_once("://")
        .map_or(("", text), |(scheme, rest)| (scheme, rest));
    let is_digest = |end: &str| {
        ["sha256:", "sha384:", "sha512:"]
            .iter()
            .any(|kind| end.starts_with(kind))
    };
    let Some((before, after)) = rest.rsplit_once('@').filter(|(_, after)| !is_digest(after)) else {
        // A digest may follow the host: `user:password@host/path@sha256:…`.
        return match rest.rsplit_once('@') {
            Some((before, digest)) if before.contains('@') => {
                format!(
                    "{}@{digest}",
                    redact_userinfo(&text[..text.len() - digest.len() - 1])
                )
            }
            _ => text.to_owned(),
        };
    };
    if !before.contains(':') && scheme.is_empty() {
        return text.to_owned();
    }
    let scheme = if scheme.is_empty() {
        String::new()
    } else {
        format!("{scheme}://")
    };
    format!("{scheme}***@{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_information_is_redacted_and_digests_are_not() {
        for (text, shown) in [
            ("user:pass@host:5000/app:1", "***@host:5000/app:1"),
            ("user:p@ss@host", "***@host"),
            ("tcp://user:pass@host:2375", "tcp://***@host:2375"),
            ("https://token@host/x", "https://***@host/x"),
            ("user:pass@host/app@sha256:00", "***@host/app@sha256:00"),
            ("host:5000/app@sha256:00", "host:5000/app@sha256:00"),
            ("host:5000/app:1@sha512:00", "host:5000/app:1@sha512:00"),
            ("me@host", "me@host"),
            ("app", "app"),
        ] {
            assert_eq!(redact_userinfo(text), shown, "{text}");
        }
    }

    #[test]
    fn no_secret_is_printed() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "***");
        let url = Url::parse("https://user:pass@host/v2/?sig=secret#frag").unwrap();
        assert_eq!(redact_url(&url), "https://host/v2/");
    }
}
