//! What went wrong between golden and a registry.

use std::time::Duration;

use serde::Deserialize;

/// What kind of problem it is: what a user can tell apart, and does something different about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureKind {
    /// Something on this machine: a credentials file, a helper, a certificate file, the blob to upload.
    Local,
    /// No connection.
    Connect,
    /// The server's certificate is not trusted, or TLS cannot be agreed on.
    Tls,
    /// The server speaks plain HTTP, and that was not allowed.
    PlainHttp,
    /// Nothing moved for too long.
    Timeout,
    /// The connection broke in the middle.
    Broken,
    /// 401: no credential, or one that is not accepted.
    Unauthorized,
    /// 403: the credential is known and may not.
    Denied,
    /// 404.
    NotFound,
    /// 429, or ghcr's secondary limit, after the retries were spent.
    RateLimited,
    /// 429 for a quota of hours: waiting does not help.
    Quota,
    /// 405 to a DELETE: the registry has deletion switched off.
    DeletionDisabled,
    /// An answer larger than golden is willing to read.
    TooLarge,
    /// The registry refused, with another 4xx.
    Rejected,
    /// 5xx.
    Server,
    /// Content that is not what its digest says.
    Digest,
    /// An answer that makes no sense: a web page, broken JSON, a Link to somewhere else.
    Malformed,
    /// A list that was not read to its end, or that contradicts what can be read.
    Incomplete,
    /// A manifest in a format that is not supported.
    Unsupported,
}

/// A failed exchange with a registry.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", self.describe())]
pub struct Error {
    /// What kind of problem it is.
    pub kind: FailureKind,
    /// The HTTP method; empty when no request was made.
    pub method: String,
    /// The address without user information and query.
    pub url: String,
    /// The HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// The registry's own code, such as `MANIFEST_UNKNOWN`.
    pub code: Option<String>,
    /// What was wrong, in a sentence; the registry's own words where it said something.
    pub message: String,
    /// How long the registry asks to wait.
    pub(crate) retry_after: Option<Duration>,
    /// The registry that was talked about, when the address is another's: a token server's.
    pub(crate) registry: Option<String>,
    /// The next thing to type, if it is not the usual one for the kind.
    pub(crate) hint: Option<String>,
    /// Set once the retry budget is spent, so that an outer retry loop does not start over.
    pub(crate) exhausted: bool,
}

/// The error envelope of the distribution spec.
#[derive(Deserialize)]
struct Envelope {
    errors: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(default)]
    code: serde_json::Value,
    #[serde(default)]
    message: serde_json::Value,
    #[serde(default)]
    detail: serde_json::Value,
}

impl Error {
    /// The message of an answer that explains nothing.
    pub(crate) const SILENT: &str = "empty response body";

    /// Text of another program as one short line.
    pub(crate) fn line(text: &str) -> String {
        clean(text)
    }

    /// An error for which there was no answer.
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

    /// An error that no request was made for.
    pub(crate) fn local(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Local, "", "", message)
    }

    /// An error from an answer: its status and what its body says.
    pub(crate) fn answered(method: &str, url: &str, status: u16, body: &[u8]) -> Self {
        // With a 401 distribution lists the scopes that were requested, which do not help the reader.
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

    /// Whether the registry says that it misses what a manifest refers to.
    #[must_use]
    pub fn misses_content(&self) -> bool {
        // distribution reports a blob that another publisher is just writing as its second error, after DIGEST_INVALID.
        matches!(
            self.code.as_deref(),
            Some("MANIFEST_BLOB_UNKNOWN" | "BLOB_UNKNOWN")
        ) || self.message.contains("; MANIFEST_BLOB_UNKNOWN: ")
    }

    /// Whether the same request may well succeed a moment later.
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

    /// Whether something is wrong with what is stored, and not with the way there: other content may well be read.
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

    /// Whether the registry's own words say that the manifest or the repository is not there. A bare 404 does
    /// not: proxies and misspelt paths give that too.
    #[must_use]
    pub fn says_unknown(&self) -> bool {
        let known = ["MANIFEST_UNKNOWN", "NAME_UNKNOWN", "NOT_FOUND"];
        self.status == Some(404)
            && self
                .code
                .as_deref()
                .is_some_and(|code| known.contains(&code))
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

    /// What to do next, one line each.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        let asked = self.url.split('/').nth(2).unwrap_or_default();
        let host = self.registry.as_deref().unwrap_or(asked);
        if let Some(hint) = &self.hint {
            return vec![hint.clone()];
        }
        let hint = match self.kind {
            FailureKind::Connect => "is the registry running, and is the address right? behind a proxy, set HTTPS_PROXY".to_owned(),
            FailureKind::Tls => "a registry whose certificate a private CA signed needs `ca = \"FILE.crt\"` in its [[registry]]".to_owned(),
            FailureKind::PlainHttp => "a registry that speaks plain HTTP needs `http = true` in its [[registry]]".to_owned(),
            FailureKind::Unauthorized => format!("run `docker login {host}`, or set GOLDEN_REGISTRY_USER, GOLDEN_REGISTRY_PASSWORD and GOLDEN_REGISTRY_HOST={host}"),
            FailureKind::Denied => "the account is known and lacks the right; ask the registry's administrator".to_owned(),
            FailureKind::Quota => "log in to get a larger quota, use a mirror, or wait until it is renewed".to_owned(),
            FailureKind::RateLimited => "the registry asks for fewer requests; try again later".to_owned(),
            FailureKind::DeletionDisabled => deletion_hint(host).to_owned(),
            FailureKind::Rejected if self.status == Some(405) && ["POST", "PATCH", "PUT"].contains(&self.method.as_str()) => {
                "the registry takes nothing: it is read-only, or a mirror of another (in distribution `storage.maintenance.readonly` and `proxy`)".to_owned()
            }
            FailureKind::Timeout => "a slow registry may be given more time: GOLDEN_REGISTRY_TIMEOUT=SECONDS".to_owned(),
            FailureKind::Digest => "something between here and the registry changes content, or the registry's storage is damaged".to_owned(),
            FailureKind::Incomplete => "nothing was decided on this list, since the version that it lacks may be the highest; a proxy or a cache in front of the registry may be the cause".to_owned(),
            FailureKind::Malformed => "is this a registry? a proxy or a captive portal may be answering in its place".to_owned(),
            _ => return Vec::new(),
        };
        vec![hint]
    }
}

/// How deletion is enabled where it is off.
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

/// Code and message of an error body. Anything may come: several errors, any type in any field, text, HTML.
fn read_body(body: &[u8], details: bool) -> (Option<String>, String) {
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => clean(text),
        other => clean(&other.to_string()),
    };
    let Ok(envelope) = serde_json::from_slice::<Envelope>(body) else {
        let shown = String::from_utf8_lossy(body);
        let html = shown.trim_start().starts_with('<');
        return (
            None,
            if html {
                "the answer is a web page".to_owned()
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
        let mut said = if at == 0 {
            text(&item.message)
        } else {
            format!("{}: {}", text(&item.code), text(&item.message))
        };
        let detail = text(&item.detail);
        if details && !detail.is_empty() && detail != "{}" {
            said = format!("{said} ({detail})");
        }
        said
    });
    (code, messages.collect::<Vec<_>>().join("; "))
}

/// One short line: control characters would let an answer write over the terminal.
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
    fn an_error_says_what_the_registry_said() {
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
                "GET http://h/v2/a: 502: the answer is a web page",
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
    fn kinds_come_from_status_and_words() {
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
