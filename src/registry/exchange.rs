//! One API call: a request with its credentials, redirects and retries.

use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Method, Response, Url};

use super::Registry;
use super::auth::{AuthScope, Next, Sending};
use super::body::Payload;
use super::error::{Error, FailureKind};
use super::error_body::masked_body;
use super::reach;
use super::retry::{Attempts, Retry, retry_after};
use crate::secret::redact_url;

/// The maximum number of bytes that are read of an error body.
const ERROR_BODY: usize = 64 * 1024;
/// The maximum number of redirects that are followed.
const REDIRECTS: usize = 5;

/// One API call.
#[derive(Clone)]
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) payload: Payload<'a>,
    pub(super) scope: AuthScope,
    /// True if the response may come from another host, as registries store blobs elsewhere.
    may_leave: bool,
}

/// Marks the response to a request that had no credential.
#[derive(Clone, Copy)]
struct WithoutLogin;

impl<'a> Call<'a> {
    pub(super) fn new(method: Method, url: Url, scope: AuthScope) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            payload: Payload::Empty,
            scope,
            may_leave: false,
        }
    }

    /// Adds a header. Its value is built from parsed names and numbers, never from untrusted input,
    /// so it is always valid.
    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Allows redirects to other hosts; no credential is sent to them.
    pub(super) const fn may_leave(mut self) -> Self {
        self.may_leave = true;
        self
    }

    pub(super) const fn payload(mut self, payload: Payload<'a>) -> Self {
        self.payload = payload;
        self
    }

    /// The error for an unexpected response.
    pub(super) async fn refuse(&self, response: Response) -> Error {
        let after = retry_after(response.headers());
        let without_login = response.extensions().get::<WithoutLogin>().is_some();
        let (status, shown) = (response.status().as_u16(), redact_url(response.url()));
        let body = masked_body(response, ERROR_BODY).await;
        let mut error = Error::answered(self.method.as_str(), &shown, status, &body);
        error.retry_after = after;
        if without_login && error.kind == FailureKind::Denied {
            error.deny_without_login();
        }
        error
    }

    /// The error for a response without a body.
    fn unexplained(&self, response: &Response) -> Error {
        let (status, shown) = (response.status().as_u16(), redact_url(response.url()));
        Error::answered(self.method.as_str(), &shown, status, &[])
    }

    /// The error for a response that violates the API.
    pub(super) fn malformed(&self, message: impl Into<String>) -> Error {
        Error::new(
            FailureKind::Malformed,
            self.method.as_str(),
            &redact_url(&self.url),
            message,
        )
    }

    /// The error for a list that may not have been read to its end.
    pub(super) fn incomplete(&self, message: String) -> Error {
        Error::new(
            FailureKind::Incomplete,
            self.method.as_str(),
            &redact_url(&self.url),
            message,
        )
    }
}

impl Registry {
    /// Makes an idempotent call, and retries it while the failure is transient. Returns any other
    /// response, including error responses.
    pub(super) async fn call(&self, call: &Call<'_>) -> Result<Response, Error> {
        let mut attempts = Attempts::new(self.inner.env.retry_policy);
        loop {
            let error = match self.call_once(call).await {
                Ok(response) => match self.transient(call, response).await {
                    Ok(response) => return Ok(response),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            attempts.again(error, Retry::IfTransient).await?;
        }
    }

    /// Returns the response, or an error if its status is transient.
    pub(super) async fn transient(
        &self,
        call: &Call<'_>,
        response: Response,
    ) -> Result<Response, Error> {
        match response.status().as_u16() {
            408 | 429 | 500 | 502 | 503 | 504 => Err(call.refuse(response).await),
            403 if response
                .headers()
                .contains_key(reqwest::header::RETRY_AFTER) =>
            {
                Err(call.refuse(response).await)
            }
            _ => Ok(response),
        }
    }

    /// Makes the call with the credentials known so far, and again after a challenge. A token that
    /// was fetched for this call is not tried twice, unless another call may have used it up.
    pub(super) async fn call_once(&self, call: &Call<'_>) -> Result<Response, Error> {
        let inner = &self.inner;
        let ours = self.is_ours(&inner.http.settled(&call.url)?)?;
        let mut sending = if ours {
            inner.auth.cached(&inner.http, &call.scope).await?
        } else {
            Sending::anonymous()
        };
        loop {
            let response = self.follow(call, sending.header()).await?;
            if response.status() != 401 || !ours || !self.is_ours(response.url())? {
                let mut response = response;
                // A refusal by a storage host that the registry redirected to concerns no login.
                if sending.header().is_none() && self.is_ours(response.url())? {
                    response.extensions_mut().insert(WithoutLogin);
                }
                inner
                    .auth
                    .accepted(sending, response.status().as_u16())
                    .await;
                return Ok(response);
            }
            let headers = response.headers().clone();
            let is_head = call.method == Method::HEAD;
            let (refused, answer) = if is_head {
                (call.unexplained(&response), Some(response))
            } else {
                (call.refuse(response).await, None)
            };
            let next = inner
                .auth
                .challenged(&inner.http, &call.scope, &headers, sending, refused);
            sending = match next.await? {
                Next::Send(next) => next,
                Next::Refused(error) => return answer.ok_or(error),
            };
        }
    }

    /// Follows redirects. The credential is sent only to the registry itself, never to a redirect
    /// target on another host.
    async fn follow(&self, call: &Call<'_>, secret: Option<&str>) -> Result<Response, Error> {
        let _permit = self.inner.limiter.acquire().await;
        let mut url = self.inner.http.settled(&call.url)?;
        for _ in 0..=REDIRECTS {
            self.inner.http.check_target(&call.method, &url)?;
            let ours = self.is_ours(&url)?;
            if !ours && !call.may_leave {
                return Err(
                    call.malformed(format!("redirected to another host, {}", redact_url(&url)))
                );
            }
            let secret = if ours { secret } else { None };
            let response = self
                .inner
                .http
                .send(&call.method, &url, &call.headers, secret, &call.payload)
                .await?;
            let read = call.method == Method::GET || call.method == Method::HEAD;
            let followed = match response.status().as_u16() {
                301..=303 => read,
                307 | 308 => true,
                _ => return Ok(response),
            };
            let next = location(&response);
            match next {
                Some(next) if followed => url = next,
                _ => return Err(call.malformed(format!("redirected to {}", shown(next.as_ref())))),
            }
        }
        Err(call.malformed("too many redirects"))
    }

    /// True if `url` belongs to this registry, so that its credential may be sent there.
    pub(super) fn is_ours(&self, url: &Url) -> Result<bool, Error> {
        let own = self.inner.http.own()?;
        let secure_enough = url.scheme() == own.scheme() || url.scheme() == "https";
        Ok(secure_enough && reach::is_same_host(url, &own))
    }
}

fn shown(url: Option<&Url>) -> String {
    url.map_or_else(|| "no location".to_owned(), redact_url)
}

/// The `Location` header, resolved against the URL of the request.
pub(super) fn location(response: &Response) -> Option<Url> {
    let text = response.headers().get(LOCATION)?.to_str().ok()?;
    response.url().join(text).ok()
}

/// The lowest average transfer rate of a response, in bytes per second.
const MIN_BYTES_PER_SECOND: u64 = 1024;

/// Rejects a response that arrives too slowly as a whole, such as one byte at a time. Only the time
/// spent waiting for the server counts.
pub(super) struct Pace {
    stall: Duration,
    waited: Duration,
    received: u64,
}

impl Pace {
    /// Starts measuring a response. It may be late by `stall` in total.
    pub(super) const fn new(stall: Duration) -> Self {
        Self {
            stall,
            waited: Duration::ZERO,
            received: 0,
        }
    }

    /// Records a chunk and the time spent waiting for it. Fails if the response is too slow.
    pub(super) fn note(&mut self, waited: Duration, piece: usize) -> Result<(), String> {
        self.waited += waited;
        self.received += piece as u64;
        if self.waited <= self.stall + Duration::from_secs(self.received / MIN_BYTES_PER_SECOND) {
            return Ok(());
        }
        let (received, seconds) = (self.received, self.waited.as_secs());
        Err(format!(
            "the response arrives too slowly ({received} bytes in {seconds} s)"
        ))
    }
}

impl Registry {
    /// Reads the whole body of a response. Fails before more than `most` bytes are read.
    pub(super) async fn read_all(
        &self,
        call: &Call<'_>,
        mut response: Response,
        most: usize,
    ) -> Result<Vec<u8>, Error> {
        let url = redact_url(response.url());
        let method = call.method.as_str();
        let error = |kind, message: String| Error::new(kind, method, &url, message);
        let too_large = || {
            error(
                FailureKind::TooLarge,
                format!("the response is larger than {} KiB", most / 1024),
            )
        };
        if response
            .content_length()
            .is_some_and(|length| length > most as u64)
        {
            return Err(too_large());
        }
        let mut body = Vec::new();
        let mut pace = Pace::new(self.inner.http.stall());
        loop {
            let started = Instant::now();
            let piece = match tokio::time::timeout(self.inner.http.stall(), response.chunk()).await
            {
                Err(_) => {
                    return Err(error(
                        FailureKind::Timeout,
                        "the response stopped before its end".to_owned(),
                    ));
                }
                Ok(Err(broken)) => return Err(super::http::explain(&call.method, &url, &broken)),
                Ok(Ok(None)) => return Ok(body),
                Ok(Ok(Some(piece))) => piece,
            };
            if body.len() + piece.len() > most {
                return Err(too_large());
            }
            pace.note(started.elapsed(), piece.len())
                .map_err(|message| error(FailureKind::Timeout, message))?;
            body.extend_from_slice(&piece);
        }
    }

    /// Makes a call and reads the whole response; retries both if the response breaks off. Fails on
    /// any status other than success.
    pub(super) async fn fetch(&self, call: &Call<'_>, most: usize) -> Result<Fetched, Error> {
        let mut attempts = Attempts::new(self.inner.env.retry_policy);
        loop {
            let response = self.call(call).await?;
            if !response.status().is_success() {
                return Err(call.refuse(response).await);
            }
            let (url, headers) = (response.url().clone(), response.headers().clone());
            match self.read_all(call, response, most).await {
                Ok(body) => return Ok(Fetched { url, headers, body }),
                Err(error) => attempts.again(error, Retry::IfTransient).await?,
            }
        }
    }
}

/// A successful response, read to its end.
pub(super) struct Fetched {
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_that_is_too_slow_as_a_whole_is_refused() {
        let pieces = |wait: u64, piece: usize| {
            let mut pace = Pace::new(Duration::from_secs(30));
            (0..100).find_map(|_| pace.note(Duration::from_millis(wait), piece).err())
        };
        assert_eq!(
            pieces(700, 1).as_deref(),
            Some("the response arrives too slowly (43 bytes in 30 s)")
        );
        assert_eq!(pieces(700, 1024), None);
        assert_eq!(
            pieces(20_000, 16),
            Some("the response arrives too slowly (32 bytes in 40 s)".to_owned())
        );
        assert_eq!(pieces(200, 1), None);
    }
}
