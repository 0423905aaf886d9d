//! Errors of the communication with a registry.

use std::time::Duration;

use serde::Deserialize;

/// The kind of a failure. Each kind has its own hint or handling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureKind {
    /// A failure on this machine: a credentials file, a helper, a certificate file, the blob to
    /// upload.
    Local,
    /// The connection could not be established.
    Connect,
    /// The certificate of the server is not trusted, or the TLS handshake failed.
    Tls,
    /// The server uses plain HTTP, which is not allowed for it.
    PlainHttp,
    /// No data was transferred for too long.
    Timeout,
    /// The connection broke during the exchange.
    Broken,
    /// 401: no credential was sent, or it was rejected.
    Unauthorized,
    /// 403: the credential is valid but lacks the permission.
    Denied,
    /// 404: the manifest, blob or repository does not exist.
    NotFound,
    /// 429, or ghcr's secondary limit, after the retries were spent.
    RateLimited,
    /// 429 for a quota that lasts hours: a retry does not help.
    Quota,
    /// 405 to a DELETE: deletion is disabled in the registry.
    DeletionDisabled,
    /// The response is larger than the limit.
    TooLarge,
    /// The registry rejected the request with another 4xx.
    Rejected,
    /// 5xx: the registry failed.
    Server,
    /// The content does not match its digest.
    Digest,
    /// The response is invalid: an HTML page, broken JSON, a Link to another host.
    Malformed,
    /// A list was not read to its end, or lacks an entry that the registry serves.
    Incomplete,
    /// The manifest has an unsupported format.
    Unsupported,
}

/// A failed exchange with a registry.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", self.describe())]
pub struct Error {
    /// The kind of the failure, which decides the hint and retries.
    pub kind: FailureKind,
    /// The HTTP method; empty if no request was made.
    pub method: String,
    /// The URL without user information and query.
    pub url: String,
    /// The HTTP status; `None` if there was no response.
    pub status: Option<u16>,
    /// The error code of the registry, such as `MANIFEST_UNKNOWN`.
    pub code: Option<String>,
    /// The cause in one sentence; the registry's own message if it sent one.
    pub message: String,
    /// The time to wait that the registry requested.
    pub(crate) retry_after: Option<Duration>,
    /// The host of the registry, if `url` is on another host, such as a token server.
    pub(crate) registry: Option<String>,
    /// The next command to run, if it differs from the usual one for the kind.
    pub(crate) hint: Option<String>,
    /// Set once the retry budget is spent, so that an outer retry loop does not start over.
    pub(crate) exhausted: bool,
}

/// The error envelope of the distribution spec.
#[derive(Deserialize)]
struct ErrorEnvelope {
    errors: Vec<ErrorItem>,
}

#[derive(Deserialize)]
struct ErrorItem {
    #[serde(default)]
    code: serde_json::Value,
    #[serde(default)]
    message: serde_json::Value,
    #[serde(default)]
    detail: serde_json::Value,
}

impl Error {
    /// The message for a response with an empty body.
    const SILENT: &str = "empty response body";

    /// Shortens the text of another program to one line.
    pub(crate) fn line(text: &str) -> String {
        clean(text)
    }

    /// An error without a response.
    pub(crate) fn new(
        kind: FailureKind,
        method: &str,
        url: &str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            method: method.to_owned(),
            url: url.to_owned(),
            status: None,
            code: None,
            message: message.into(),
            retry_after: None,
            registry: None,
            hint: None,
            exhausted: false,
        }
    }

    /// An error without a request.
    pub(crate) fn local(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Local, "", "", message)
    }

    /// The error for a response: its status, and the message in its body.
    pub(crate) fn answered(method: &str, url: &str, status: u16, body: &[u8]) -> Self {
        // For a 401, distribution lists the requested scopes, which do not help the reader.
        let (code, message) = read_body(body, status != 401);
        let kind = kind_of(method, status, code.as_deref(), &message);
        let message = match (message.is_empty(), code.is_none()) {
            (true, true) if kind == FailureKind::RateLimited => {
                "the registry limits the rate of requests".to_owned()
            }
            (true, true) => Self::SILENT.to_owned(),
            _ => message,
        };
        Self {
            kind,
            method: method.to_owned(),
            url: url.to_owned(),
            status: Some(status),
            code,
            message,
            retry_after: None,
            registry: None,
            hint: None,
            exhausted: false,
        }
    }

    /// Adds to a 403 that the request had no login.
    pub(super) fn deny_without_login(&mut self) {
        let host = self.host().to_owned();
        self.message = self.message_with("no login was used".to_owned());
        self.hint = Some(format!(
            "run `docker login {host}`, if you have an account there"
        ));
    }

    /// The host of the registry.
    fn host(&self) -> &str {
        let url_host = self.url.split('/').nth(2).unwrap_or_default();
        self.registry.as_deref().unwrap_or(url_host)
    }

    /// True if the registry reports that content which a manifest references is missing.
    #[must_use]
    pub fn misses_content(&self) -> bool {
        // distribution reports a blob that another publisher is writing at that moment as its
        // second error, after DIGEST_INVALID.
        matches!(
            self.code.as_deref(),
            Some("MANIFEST_BLOB_UNKNOWN" | "BLOB_UNKNOWN")
        ) || self.message.contains("; MANIFEST_BLOB_UNKNOWN: ")
    }

    /// True if the registry refuses a manifest as such. Some registries report in this way that they
    /// lack a layer: zot answers 400 `MANIFEST_INVALID`.
    #[must_use]
    pub fn refuses_manifest(&self) -> bool {
        self.method == "PUT" && matches!(self.status, Some(400 | 404))
    }

    /// True if the same request may succeed when it is repeated.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self.kind {
            _ if self.exhausted => false,
            FailureKind::Connect
            | FailureKind::Timeout
            | FailureKind::Broken
            | FailureKind::RateLimited => true,
            FailureKind::Server => matches!(self.status, Some(500 | 502 | 503 | 504)),
            FailureKind::Rejected => self.status == Some(408),
            _ => false,
        }
    }

    /// True if the stored content is at fault, and not the connection or the login: other content
    /// may be readable.
    #[must_use]
    pub const fn is_about_content(&self) -> bool {
        matches!(
            self.kind,
            FailureKind::NotFound
                | FailureKind::TooLarge
                | FailureKind::Digest
                | FailureKind::Malformed
                | FailureKind::Unsupported
        )
    }

    /// True if the error code of the registry says that the manifest or the repository does not
    /// exist. A 404 without such a code is not enough: proxies and misspelt paths return it too.
    #[must_use]
    pub fn says_unknown(&self) -> bool {
        let known = ["MANIFEST_UNKNOWN", "NAME_UNKNOWN", "NOT_FOUND"];
        self.status == Some(404)
            && self
                .code
                .as_deref()
                .is_some_and(|code| known.contains(&code))
    }

    /// The status and the code of the answer, or its message if it has no code; `None` if there was no
    /// answer.
    #[must_use]
    pub fn answer(&self) -> Option<String> {
        let status = self.status?;
        Some(match (&self.code, self.message.as_str()) {
            (Some(code), _) => format!("{status} {code}"),
            (None, "" | Self::SILENT) => format!("{status} with an empty body"),
            (None, words) => format!("{status} ({words})"),
        })
    }

    /// The message with its reason in front. A response without a body adds nothing to the reason.
    pub(super) fn message_with(&self, why: String) -> String {
        match self.message.as_str() {
            "" | Self::SILENT => why,
            words => format!("{why}: {words}"),
        }
    }

    fn describe(&self) -> String {
        let status = self.status.map(|status| status.to_string());
        let words = [status.as_deref(), self.code.as_deref()]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>();
        let mut text = String::new();
        if !self.method.is_empty() {
            text = format!("{} {}: ", self.method, self.url);
        }
        if !words.is_empty() {
            text.push_str(&words.join(" "));
            if !self.message.is_empty() {
                text.push_str(": ");
            }
        }
        text + &self.message
    }

    /// The hints for the user, one per line.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        let host = self.host();
        if let Some(hint) = &self.hint {
            return vec![hint.clone()];
        }
        let hint = match self.kind {
            FailureKind::Connect => "check that the registry is running and that its address is right; behind a proxy, set HTTPS_PROXY".to_owned(),
            FailureKind::Tls => "a registry with a certificate of a private CA needs `ca = \"FILE.crt\"` in its [[registry]]".to_owned(),
            FailureKind::PlainHttp => "a registry that speaks plain HTTP needs `http = true` in its [[registry]]".to_owned(),
            FailureKind::Unauthorized => format!("run `docker login {host}`, or set GOLDEN_REGISTRY_USER, GOLDEN_REGISTRY_PASSWORD and GOLDEN_REGISTRY_HOST={host}"),
            FailureKind::Denied => "the account lacks the permission; ask the registry's administrator".to_owned(),
            FailureKind::Quota => "log in to get a larger quota, use a mirror, or wait until it is renewed".to_owned(),
            FailureKind::RateLimited => format!("try again later; after `docker login {host}` the limit may be higher"),
            FailureKind::DeletionDisabled => deletion_hint(host).to_owned(),
            FailureKind::Rejected if self.status == Some(405) && ["POST", "PATCH", "PUT"].contains(&self.method.as_str()) => {
                "the registry accepts no writes: it is read-only, or a pull-through mirror (in distribution: `storage.maintenance.readonly` and `proxy`)".to_owned()
            }
            FailureKind::Timeout => "set GOLDEN_REGISTRY_TIMEOUT=SECONDS to allow a slow registry more time".to_owned(),
            FailureKind::Digest => "a proxy in front of the registry changes the content, or the registry's storage is damaged".to_owned(),
            FailureKind::Incomplete => "golden stopped because a missing version may be the highest; a proxy or a cache in front of the registry may be the cause".to_owned(),
            FailureKind::Malformed => "check that this is a registry; a proxy or a captive portal may have answered instead".to_owned(),
            FailureKind::Server => "the registry failed: try again later, or ask its administrator, whose log has the cause".to_owned(),
            FailureKind::NotFound if self.code.is_none() => format!("check that {host} is a registry, and that the path is right"),
            _ => return Vec::new(),
        };
        vec![hint]
    }
}

/// The way to enable deletion for a registry.
fn deletion_hint(host: &str) -> &'static str {
    match host {
        "registry-1.docker.io" => "Docker Hub deletes through its website or its own API only",
        "ghcr.io" => "ghcr.io deletes through GitHub's packages page or API only",
        _ => {
            "in distribution set `storage.delete.enabled: true` (REGISTRY_STORAGE_DELETE_ENABLED=true) and restart it"
        }
    }
}

fn kind_of(method: &str, status: u16, code: Option<&str>, message: &str) -> FailureKind {
    let words = message.to_ascii_lowercase();
    match status {
        401 => FailureKind::Unauthorized,
        403 if words.contains("rate limit") => FailureKind::RateLimited,
        403 => FailureKind::Denied,
        404 => FailureKind::NotFound,
        405 if method == "DELETE" => FailureKind::DeletionDisabled,
        400 if method == "DELETE" && code == Some("UNSUPPORTED") => FailureKind::DeletionDisabled,
        429 if words.contains("pull rate limit") || words.contains("quota") => FailureKind::Quota,
        429 => FailureKind::RateLimited,
        500.. => FailureKind::Server,
        _ => FailureKind::Rejected,
    }
}

/// The code and the message of an error body. The body is untrusted: several errors, any type in
/// any field, plain text, HTML.
fn read_body(body: &[u8], details: bool) -> (Option<String>, String) {
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => clean(text),
        other => clean(&other.to_string()),
    };
    let Ok(envelope) = serde_json::from_slice::<ErrorEnvelope>(body) else {
        let shown = String::from_utf8_lossy(body);
        let html = shown.trim_start().starts_with('<');
        return (
            None,
            if html {
                "the response is a web page".to_owned()
            } else {
                clean(&shown)
            },
        );
    };
    let code = envelope
        .errors
        .first()
        .map(|item| text(&item.code))
        .filter(|code| !code.is_empty());
    let messages = envelope.errors.iter().enumerate().map(|(at, item)| {
        let mut text_of_item = if at == 0 {
            text(&item.message)
        } else {
            format!("{}: {}", text(&item.code), text(&item.message))
        };
        let detail = text(&item.detail);
        if details && !detail.is_empty() && detail != "{}" {
            text_of_item = format!("{text_of_item} ({detail})");
        }
        text_of_item
    });
    (code, messages.collect::<Vec<_>>().join("; "))
}

/// Reduces a text to one short line without control characters, which could overwrite the terminal.
fn clean(text: &str) -> String {
    const MOST: usize = 300;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line: String = line.chars().filter(|c| !c.is_control()).collect();
    if line.chars().count() <= MOST {
        line
    } else {
        line.chars().take(MOST).chain(['…']).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_contains_the_message_of_the_registry() {
        for (status, body, expected) in [
            (
                404,
                r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"1"}}]}"#,
                r#"GET http://h/v2/a: 404 MANIFEST_UNKNOWN: manifest unknown ({"Tag":"1"})"#,
            ),
            (
                404,
                "404 page not found\n",
                "GET http://h/v2/a: 404: 404 page not found",
            ),
            (
                502,
                "<html>oops",
                "GET http://h/v2/a: 502: the response is a web page",
            ),
            (500, "", "GET http://h/v2/a: 500: empty response body"),
            (
                500,
                r#"{"errors":[{"code":"UNKNOWN","message":"unknown error"},{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown"}]}"#,
                "GET http://h/v2/a: 500 UNKNOWN: unknown error; MANIFEST_BLOB_UNKNOWN: blob unknown",
            ),
            (
                400,
                r#"{"errors":[{"code":7,"message":null}]}"#,
                "GET http://h/v2/a: 400 7",
            ),
        ] {
            let error = Error::answered("GET", "http://h/v2/a", status, body.as_bytes());
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn the_kind_depends_on_status_and_message() {
        let kind = |method, status, body: &str| {
            Error::answered(method, "http://h/v2/", status, body.as_bytes()).kind
        };
        assert_eq!(kind("DELETE", 405, ""), FailureKind::DeletionDisabled);
        assert_eq!(kind("GET", 429, ""), FailureKind::RateLimited);
        assert_eq!(
            kind("GET", 429, "You have reached your pull rate limit."),
            FailureKind::Quota
        );
        assert_eq!(
            kind("GET", 403, "You have exceeded a secondary rate limit"),
            FailureKind::RateLimited
        );
        assert_eq!(kind("GET", 403, ""), FailureKind::Denied);
    }
}
