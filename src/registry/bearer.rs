//! The parts of authentication that requests for tokens also need.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::Url;

use crate::secret::Secret;

/// A Bearer challenge.
#[derive(Debug, Clone)]
pub(super) struct Bearer {
    pub(super) realm: Url,
    pub(super) service: Option<String>,
    pub(super) scopes: BTreeSet<String>,
    /// The token is valid but does not permit the request.
    pub(super) insufficient: bool,
}

/// The value `Basic …` for a user and a password.
pub(super) fn basic_header(user: &str, password: &Secret<String>) -> String {
    format!(
        "Basic {}",
        STANDARD.encode(format!("{user}:{}", password.expose()))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_encoded_as_in_rfc_7617() {
        let password = Secret::new("open sesame".to_owned());
        assert_eq!(
            basic_header("Aladdin", &password),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
        );
    }
}
