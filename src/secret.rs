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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_left() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "***");
        let url = Url::parse("https://user:pass@host/v2/?sig=secret#frag").unwrap();
        assert_eq!(redact_url(&url), "https://host/v2/");
    }
}
