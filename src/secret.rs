//! Values that must never be printed, and addresses that may be printed only in part.

use std::fmt;

use url::Url;

/// A value whose `Debug` is `***` and that has no `Display`: it cannot reach a log by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Every call is a place to look at when something leaked.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// `url` without user information, query and fragment: presigned addresses and tokens live there.
#[must_use]
pub fn redact_url(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail only for addresses that cannot have user information, which then have nothing to hide.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

/// `text` without the user information before an `@`: people write `user:password@host`. What is no user information,
/// such as the digest of a reference, stays.
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
    fn nothing_secret_is_left() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "***");
        let url = Url::parse("https://user:pass@host/v2/?sig=secret#frag").unwrap();
        assert_eq!(redact_url(&url), "https://host/v2/");
    }
}
