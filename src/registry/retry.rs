//! Decides whether and when a failed request is repeated.

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, HeaderValue, RETRY_AFTER};

use super::env::RetryPolicy;
use super::error::{Error, FailureKind};

/// The attempts of one request so far.
pub(super) struct Attempts {
    retry_policy: RetryPolicy,
    made: u32,
    waited: Duration,
}

/// The errors after which a request is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    /// Only transient errors.
    IfTransient,
    /// Every error. A wrong digest may be damage in transit.
    Always,
}

/// The maximum sum of all pauses of a request.
const MAX_WAIT: Duration = Duration::from_mins(3);

impl Attempts {
    pub(super) const fn new(retry_policy: RetryPolicy) -> Self {
        Self {
            retry_policy,
            made: 0,
            waited: Duration::ZERO,
        }
    }

    /// Resets the count after progress, so that earlier failures no longer count.
    pub(super) const fn progressed(&mut self) {
        self.made = 0;
    }

    /// Waits before the next attempt. Returns the error if there is no further attempt.
    pub(super) async fn again(&mut self, mut error: Error, retry: Retry) -> Result<(), Error> {
        self.made += 1;
        // A host name or a port that does not answer rarely recovers within seconds.
        let most = if error.kind == FailureKind::Connect {
            self.retry_policy.attempts.min(4)
        } else {
            self.retry_policy.attempts
        };
        let is_final = match retry {
            Retry::IfTransient => !error.is_transient(),
            Retry::Always => error.exhausted,
        };
        if is_final || self.made >= most {
            error.exhausted |= self.made > 1;
            return Err(error);
        }
        let pause = match error.retry_after {
            Some(requested) if requested > self.retry_policy.longest_pause => {
                error.message = format!(
                    "{}; the registry asks to wait {} s",
                    error.message,
                    requested.as_secs()
                );
                error.exhausted = true;
                return Err(error);
            }
            // Some servers always send 0.
            Some(requested) => requested.max(self.retry_policy.pause),
            None => self.backoff(),
        };
        if self.waited + pause > MAX_WAIT {
            error.exhausted = true;
            return Err(error);
        }
        self.waited += pause;
        let ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(method = error.method, url = error.url, because = %error.message, ms, "retrying");
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// Exponential backoff with full jitter, so that clients that failed together do not retry
    /// together.
    fn backoff(&self) -> Duration {
        let doubled = self
            .retry_policy
            .pause
            .saturating_mul(1 << (self.made - 1).min(10));
        doubled
            .min(self.retry_policy.longest_pause)
            .mul_f64(fastrand::f64())
    }
}

/// The value of `Retry-After`, in seconds or as a date. A date is compared with the clock of the
/// server.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |value: &HeaderValue| value.to_str().map(|text| text.trim().to_owned()).ok();
    let value = headers.get(RETRY_AFTER).and_then(text)?;
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(&value).ok()?;
    let server = headers
        .get(DATE)
        .and_then(text)
        .and_then(|date| httpdate::parse_http_date(&date).ok());
    let now = server.unwrap_or_else(local_now);
    Some(until.duration_since(now).unwrap_or_default())
}

#[expect(
    clippy::disallowed_methods,
    reason = "without a Date header, the local clock is used; it affects only a pause"
)]
fn local_now() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        for (value, seconds) in [
            ("3", Some(3)),
            (" 0 ", Some(0)),
            ("Wed, 25 Nov 2026 10:00:07 GMT", Some(7)),
            ("Wed, 25 Nov 2026 09:00:00 GMT", Some(0)),
            ("1.889377ms", None),
            ("soon", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(value).unwrap());
            headers.insert(
                DATE,
                HeaderValue::from_static("Wed, 25 Nov 2026 10:00:00 GMT"),
            );
            assert_eq!(
                retry_after(&headers),
                seconds.map(Duration::from_secs),
                "{value}"
            );
        }
    }

    #[tokio::test]
    async fn an_exhausted_error_is_not_retried_by_an_outer_loop() {
        let mut error = Error::new(
            FailureKind::Broken,
            "GET",
            "https://token.example.com/",
            "gone",
        );
        error.exhausted = true;
        for retry in [Retry::IfTransient, Retry::Always] {
            let mut attempts = Attempts::new(RetryPolicy::default());
            let back = attempts.again(error.clone(), retry).await.unwrap_err();
            assert!(back.exhausted && !back.is_transient());
        }
    }
}
