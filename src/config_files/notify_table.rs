//! `[[notify]]`: where golden reports the tags that it moved.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::values::Interval;

/// The default time limit of a notification.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A receiver of notifications: a URL, or a command. It receives a JSON document for each image whose
/// tags were moved and verified.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["name"]))]
pub struct NotifyTable {
    /// The name of the receiver in messages.
    pub name: Option<String>,
    /// The URL that receives the document by POST.
    pub url: Option<String>,
    /// The environment variable that has the URL, for URLs that contain a secret.
    pub url_env: Option<String>,
    /// The environment variable that has a bearer token for the URL.
    pub token_env: Option<String>,
    /// The program and its arguments; it receives the document as standard input.
    pub command: Option<Vec<String>>,
    /// Globs over the names of images; `*` does not match `/`, `**` does. All images by default.
    pub images: Option<Vec<String>>,
    /// The commands that send notifications; all by default.
    pub on: Option<Vec<NotifyEvent>>,
    /// The time limit of one attempt, such as "10s".
    #[schemars(with = "Option<String>")]
    pub timeout: Option<Interval>,
}

impl NotifyTable {
    /// The name in messages.
    #[must_use]
    pub fn shown_name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// The time limit of one attempt.
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.timeout.map_or(TIMEOUT, |timeout| timeout.0)
    }

    /// True if a command sends notifications to this receiver.
    #[must_use]
    pub fn is_on(&self, event: NotifyEvent) -> bool {
        self.on.as_ref().is_none_or(|on| on.contains(&event))
    }
}

/// A command that moves tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NotifyEvent {
    /// `golden build --push` and `golden push`.
    Push,
    /// `golden promote`.
    Promote,
    /// `golden rollback`.
    Rollback,
}

/// The reason why a URL cannot receive notifications. It does not contain the URL, which may be
/// secret.
#[must_use]
pub fn problem_of_url(text: &str, has_token: bool) -> Option<String> {
    let Ok(url) = Url::parse(text) else {
        return Some("it is not a URL such as https://hooks.example.com/golden".to_owned());
    };
    let is_local = match url.host() {
        None => return Some("the URL has no host".to_owned()),
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
    };
    if !matches!(url.scheme(), "http" | "https") {
        return Some("the URL must begin with https:// or http://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        let reason = "the URL contains a login; use `token_env` or `url_env`";
        return Some(reason.to_owned());
    }
    if has_token && url.scheme() == "http" && !is_local {
        return Some("a token is sent only over https".to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_host_and_no_login() {
        for (url, has_token, problem) in [
            ("https://hooks.example.com/a?b=c", true, None),
            ("http://hooks.example.com/a", false, None),
            ("http://127.0.0.1:8080/a", true, None),
            ("http://[::1]:8080/a", true, None),
            ("http://localhost/a", true, None),
            (
                "http://hooks.example.com/a",
                true,
                Some("a token is sent only over https"),
            ),
            (
                "https://user:pass@example.com/",
                false,
                Some("contains a login"),
            ),
            (
                "ftp://example.com/",
                false,
                Some("must begin with https://"),
            ),
            ("hooks.example.com", false, Some("it is not a URL")),
            ("mailto:team@example.com", false, Some("has no host")),
        ] {
            let found = problem_of_url(url, has_token);
            match problem {
                None => assert_eq!(found, None, "{url}"),
                Some(problem) => assert!(found.is_some_and(|it| it.contains(problem)), "{url}"),
            }
        }
    }
}
