//! Fetches Bearer tokens from the token server that a challenge names.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::Instant;

use super::bearer::{Bearer, basic_header};
use super::body::Payload;
use super::credentials::Credential;
use super::error::{Error, FailureKind};
use super::error_body::{masked_body, read_some};
use super::http::Http;
use super::retry::{Attempts, Retry, retry_after};
use crate::secret::{Secret, redact_url};

/// The minimum lifetime of a token in seconds, also used if the server states none.
const LIFETIME: u64 = 60;
/// A token is renewed this long before it expires, so that it does not expire during a request.
const MARGIN: Duration = Duration::from_secs(10);
/// The maximum size of a response of the token server, in bytes.
const ANSWER: usize = 1024 * 1024;

/// A Bearer token.
pub(super) struct Token {
    pub(super) value: Secret<String>,
    pub(super) until: Instant,
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<f64>,
    issued_at: Option<String>,
}

impl Token {
    pub(super) fn header(&self) -> String {
        format!("Bearer {}", self.value.expose())
    }

    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        now + MARGIN < self.until
    }
}

/// Requests a token from the realm: by POST with a refresh token, else by GET, with user and
/// password if known.
pub(super) async fn fetch(
    http: &Http,
    bearer: &Bearer,
    scopes: &BTreeSet<String>,
    credential: Option<&Credential>,
) -> Result<Token, Error> {
    if let Some(Credential::IdentityToken(refresh)) = credential {
        let form = refresh_form(bearer, scopes, refresh);
        match request(http, &Method::POST, &bearer.realm, None, Some(&form)).await {
            // Servers without OAuth 2 support only GET.
            Err(error) if matches!(error.status, Some(404 | 405)) => {}
            other => return other,
        }
    }
    let header = match credential {
        Some(Credential::Password { user, password }) => Some(basic_header(user, password)),
        Some(Credential::IdentityToken(token)) => Some(basic_header("<token>", token)),
        Some(Credential::RegistryToken(_)) | None => None,
    };
    let mut url = bearer.realm.clone();
    {
        let mut query = url.query_pairs_mut();
        query.extend_pairs(bearer.service.iter().map(|service| ("service", service)));
        query.extend_pairs(scopes.iter().map(|scope| ("scope", scope)));
    }
    request(http, &Method::GET, &url, header.as_deref(), None).await
}

fn refresh_form(bearer: &Bearer, scopes: &BTreeSet<String>, refresh: &Secret<String>) -> String {
    let scope = scopes
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(" ");
    url::form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "refresh_token")
        .append_pair("service", bearer.service.as_deref().unwrap_or_default())
        .append_pair("client_id", "golden")
        .append_pair("scope", &scope)
        .append_pair("refresh_token", refresh.expose())
        .finish()
}

async fn request(
    http: &Http,
    method: &Method,
    url: &Url,
    secret: Option<&str>,
    form: Option<&str>,
) -> Result<Token, Error> {
    let mut headers = HeaderMap::new();
    if form.is_some() {
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
    }
    let payload = form.map_or(Payload::Empty, |form| Payload::Bytes(form.as_bytes()));
    let shown = redact_url(url);
    let mut attempts = Attempts::new(http.retry_policy());
    loop {
        let requested_at = Instant::now();
        let error = match http.send(method, url, &headers, secret, &payload).await {
            Ok(response) if response.status().is_success() => {
                let headers = response.headers().clone();
                let body = read_some(response, ANSWER).await;
                return read(&body, &headers, requested_at).map_err(|message| {
                    Error::new(FailureKind::Malformed, method.as_str(), &shown, message)
                });
            }
            Ok(response) => {
                let (status, after) = (response.status().as_u16(), retry_after(response.headers()));
                let body = masked_body(response, ANSWER).await;
                let mut error = Error::answered(method.as_str(), &shown, status, &body);
                if matches!(status, 300..=399) {
                    error.message = String::from(
                        "the token server redirects; a login is not sent to a redirect target",
                    );
                } else if status == 400 && secret.is_some() {
                    error.kind = FailureKind::Unauthorized;
                }
                error.retry_after = after;
                error
            }
            Err(error) => error,
        };
        attempts.again(error, Retry::IfTransient).await?;
    }
}

fn read(body: &[u8], headers: &HeaderMap, requested_at: Instant) -> Result<Token, String> {
    let answer: TokenAnswer = serde_json::from_slice(body)
        .map_err(|_| "the response of the token server is not JSON".to_owned())?;
    let value = [answer.token, answer.access_token]
        .into_iter()
        .flatten()
        .find(|token| !token.is_empty());
    let value = value.ok_or("the response of the token server has no token")?;
    if !value.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("the response of the token server is not a valid token".to_owned());
    }
    let seconds = answer
        .expires_in
        .filter(|seconds| seconds.is_finite())
        .unwrap_or_default();
    let lifetime =
        Duration::from_secs_f64(seconds.clamp(0.0, 1e8)).max(Duration::from_secs(LIFETIME));
    // A token from the server's cache is older than this response. Both times are from the server,
    // so that local clock differences do not matter.
    let age = age(answer.issued_at.as_deref(), headers).unwrap_or_default();
    Ok(Token {
        value: Secret::new(value),
        until: requested_at + lifetime.saturating_sub(age),
    })
}

fn age(issued: Option<&str>, headers: &HeaderMap) -> Option<Duration> {
    let issued: SystemTime = OffsetDateTime::parse(issued?, &Rfc3339).ok()?.into();
    let date = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    date.duration_since(issued).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds until a token expires, or the error.
    fn lifetime(body: &str, date: Option<&str>) -> String {
        let mut headers = HeaderMap::new();
        headers.extend(date.map(|date| (DATE, date.parse().unwrap())));
        let now = Instant::now();
        match read(body.as_bytes(), &headers, now) {
            Ok(token) => {
                let seconds = (token.until - now).as_secs();
                format!("{} {seconds}", token.value.expose())
            }
            Err(message) => message,
        }
    }

    #[test]
    fn a_token_lives_as_long_as_its_server_states() {
        let date = Some("Mon, 06 May 2024 07:10:09 GMT");
        for (body, date, expected) in [
            (r#"{"token":"t"}"#, None, "t 60"),
            (r#"{"access_token":"a"}"#, None, "a 60"),
            (r#"{"token":"","access_token":"a"}"#, None, "a 60"),
            (r#"{"token":"t","access_token":"a"}"#, None, "t 60"),
            (r#"{"token":"t","expires_in":30}"#, None, "t 60"),
            (r#"{"token":"t","expires_in":-5}"#, None, "t 60"),
            (r#"{"token":"t","expires_in":300.5}"#, None, "t 300"),
            (r#"{"token":"t","expires_in":1e300}"#, None, "t 100000000"),
            // The token is 120 seconds old.
            (
                r#"{"token":"t","expires_in":300,"issued_at":"2024-05-06T07:08:09Z"}"#,
                date,
                "t 180",
            ),
            (
                r#"{"token":"t","issued_at":"2024-05-06T07:08:09Z"}"#,
                date,
                "t 0",
            ),
            // The age is unknown.
            (
                r#"{"token":"t","expires_in":300,"issued_at":"2024-05-06T07:08:09Z"}"#,
                None,
                "t 300",
            ),
            (
                r#"{"token":"t","expires_in":300,"issued_at":"2030-05-06T07:08:09Z"}"#,
                date,
                "t 300",
            ),
            (
                r#"{"token":"t","expires_in":300,"issued_at":"today"}"#,
                date,
                "t 300",
            ),
            (
                "<html>",
                None,
                "the response of the token server is not JSON",
            ),
            ("{}", None, "the response of the token server has no token"),
            (
                r#"{"token":"a b"}"#,
                None,
                "the response of the token server is not a valid token",
            ),
        ] {
            assert_eq!(lifetime(body, date), expected, "{body} {date:?}");
        }
    }

    #[test]
    fn a_token_is_renewed_ten_seconds_before_it_expires() {
        let now = Instant::now();
        for (seconds, is_fresh) in [(0, false), (9, false), (10, false), (11, true)] {
            let token = Token {
                value: Secret::new("t".to_owned()),
                until: now + Duration::from_secs(seconds),
            };
            assert_eq!(token.is_fresh(now), is_fresh, "{seconds}");
            assert_eq!(token.header(), "Bearer t");
        }
    }

    #[test]
    fn a_refresh_token_is_sent_with_all_scopes() {
        let bearer = Bearer {
            realm: "https://auth/token".parse().unwrap(),
            service: Some("s".to_owned()),
            scopes: BTreeSet::new(),
            insufficient: false,
        };
        let scopes = ["repository:a:pull", "repository:b:pull"].map(str::to_owned);
        assert_eq!(
            refresh_form(&bearer, &scopes.into(), &Secret::new("r&1".to_owned())),
            "grant_type=refresh_token&service=s&client_id=golden&\
             scope=repository%3Aa%3Apull+repository%3Ab%3Apull&refresh_token=r%261"
        );
    }

    proptest::proptest! {
        #[test]
        fn no_response_causes_a_panic(
            token in "[ -~]{0,20}|\\PC{0,5}",
            seconds in "-?[0-9]{1,20}(\\.[0-9]{1,3})?(e[0-9]{1,3})?|null|\"60\"",
            issued in "[0-9]{4,6}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z|\\PC{0,9}",
            date in "[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT|[ -~]{0,9}",
            cut in 0_usize..200,
        ) {
            let [token, issued] = [token, issued].map(serde_json::Value::String);
            let body = format!(r#"{{"token":{token},"expires_in":{seconds},"issued_at":{issued}}}"#);
            let mut headers = HeaderMap::new();
            headers.extend(HeaderValue::from_str(&date).ok().map(|date| (DATE, date)));
            for body in [body.as_bytes(), &body.as_bytes()[..cut.min(body.len())]] {
                if let Ok(found) = read(body, &headers, Instant::now()) {
                    proptest::prop_assert!(HeaderValue::from_str(&found.header()).is_ok());
                }
            }
        }
    }
}
